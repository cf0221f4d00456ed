import pytest
import torch
from torch import Tensor
from torch.nn import Module

from torch_geometric_uotp import ROTPAggregation, UOTPAggregation, UOTPPool2d


def without_gradient(layer: Module, decayed: list[Tensor]) -> None:
    """Twenty steps of AdamW in which nothing but weight decay moves parameters."""
    others = [p for p in layer.parameters() if all(p is not q for q in decayed)]
    groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.1, weight_decay=0.5)
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for _ in range(20):
        optimizer.step()


@pytest.mark.parametrize(
    "build",
    [
        lambda: UOTPAggregation(8, heads=2, size_power=0.5),
        lambda: UOTPAggregation(8, solver="badmm"),
        lambda: UOTPAggregation(8, num_steps=1),
        lambda: UOTPAggregation(8, tol=1e-6),
        lambda: ROTPAggregation(8),
        lambda: UOTPPool2d(8),
    ],
)
def test_the_usual_rule_spares_coefficients(build) -> None:
    layer = build()
    before = layer.coefficients()
    without_gradient(layer, [p for p in layer.parameters() if p.dim() > 1])
    for name, value in layer.coefficients().items():
        assert value.equal(before[name]), name


def test_decay_moves_what_is_told_to_decay() -> None:
    """By the amounts that docs/method.md tells of."""
    layer = UOTPAggregation(8)
    without_gradient(layer, list(layer.parameters()))
    after = layer.coefficients()
    assert after["alpha0"].item() == pytest.approx(4.6, abs=0.05)
    assert after["alpha2"].item() == pytest.approx(2.2, abs=0.05)
