"""What one set holds reaches no other, nor what all sets share."""

import pytest
import torch
from torch import Tensor

from torch_geometric_uotp import (
    HierarchicalUOTPAggregation,
    NormalisedScores,
    ROTPAggregation,
    UOTPAggregation,
)

INDEX = torch.arange(5).repeat_interleave(4)
LAYERS = {
    "sinkhorn": lambda: UOTPAggregation(6, heads=2),
    "per step": lambda: UOTPAggregation(6, share_steps=False),
    "badmm": lambda: UOTPAggregation(6, solver="badmm"),
    "badmm, quadratic": lambda: UOTPAggregation(
        6, solver="badmm", regularizer="quadratic"
    ),
    "tol": lambda: UOTPAggregation(6, tol=1e-6),
    "mean": lambda: UOTPAggregation.like("mean", 6),
    "sum": lambda: UOTPAggregation.like("sum", 6),
    "max": lambda: UOTPAggregation.like("max", 6),
    "unnormalised": lambda: UOTPAggregation(6, normalize=False),
    "attention": lambda: UOTPAggregation(6, node_prior="attention"),
    "gated": lambda: HierarchicalUOTPAggregation.like("gated", 6),
    "scores": lambda: UOTPAggregation(6, scores=NormalisedScores(6)),
    "mapped scores": lambda: UOTPAggregation(6, scores=NormalisedScores(6, True)),
    "rotp": lambda: ROTPAggregation(6),
    "mixed": lambda: HierarchicalUOTPAggregation.like("mixed", 6),
}
# Those that a fixed point refuses to solve, with a warning.
UNSOLVED = pytest.mark.filterwarnings("ignore:.*steps were not enough:RuntimeWarning")


def step(name: str, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Pooled values, the gradient of x and the parameters after a step of Adam."""
    torch.manual_seed(1)
    layer = LAYERS[name]()
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-3)
    x = x.clone().requires_grad_()
    pooled = layer(x, INDEX)
    # A training loop that looks at the other sets alone.
    weight = torch.tensor([1.0, 1, 0, 1, 1]).unsqueeze(1)
    (pooled * weight).masked_fill(weight == 0, 0).square().sum().backward()
    optimiser.step()
    return pooled.detach(), x.grad, [p.detach() for p in layer.parameters()]


@UNSOLVED
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf"), 3e38])
@pytest.mark.parametrize("name", LAYERS)
def test_poison_in_one_set_stays_there(path, name: str, poison: float) -> None:
    others = INDEX != 2
    x = torch.randn(20, 6)
    expected = step(name, x)
    x[9, 3] = poison
    found = step(name, x)
    torch.testing.assert_close(found[0][[0, 1, 3, 4]], expected[0][[0, 1, 3, 4]])
    torch.testing.assert_close(found[1][others], expected[1][others])
    for one in found[2]:
        assert one.isfinite().all()


@UNSOLVED
@pytest.mark.parametrize("size", [1e19, 1e25, 1e30])
@pytest.mark.parametrize("name", LAYERS)
def test_huge_features_leave_an_optimiser_able_to_step(path, name, size) -> None:
    torch.manual_seed(1)
    layer = LAYERS[name]()
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-3)
    for scale in (size, 1.0):
        x = scale * torch.randn(20, 6)
        pooled = layer(x, INDEX)
        assert pooled.isfinite().all()
        optimiser.zero_grad()
        pooled.sum().backward()
        for parameter in layer.parameters():
            assert parameter.grad.isfinite().all()
        optimiser.step()
    states = [value for state in optimiser.state.values() for value in state.values()]
    for value in [*layer.parameters(), *states]:
        assert value.isfinite().all()
