"""At the end of an interval a gradient passes inwards only, as a whole."""

import pytest
import torch
from torch import Tensor

from torch_geometric_uotp import ROTPAggregation, UOTPAggregation, ops

KINDS = {
    "unnormalised": (UOTPAggregation, {"normalize": False}),
    "badmm": (UOTPAggregation, {"normalize": False, "solver": "badmm"}),
    "rotp": (ROTPAggregation, {}),
}


def gradients(
    name: str, seed: int, native: bool, monkeypatch: pytest.MonkeyPatch
) -> list[Tensor]:
    kind, given = KINDS[name]
    torch.manual_seed(seed)
    # alpha2 = 0 is the lower end of r_q.
    layer = kind(2, num_steps=2, alpha2=0.0, share_steps=False, **given).double()
    x = torch.randn(6, 2, dtype=torch.double, requires_grad=True)
    with monkeypatch.context() as patched:
        patched.setattr(ops, "AVAILABLE", native and ops.AVAILABLE)
        pooled = layer(x, torch.tensor([0, 0, 0, 1, 1, 1]))
        loss = (pooled * torch.tensor([[1.0, -2.0], [0.5, 1.0]])).sum()
        return list(torch.autograd.grad(loss, [x, *layer.parameters()]))


@pytest.mark.parametrize("name", KINDS)
def test_parts_of_a_gradient_are_added_before_they_are_held(name, monkeypatch) -> None:
    """The pooled values and the mass they are multiplied with have one each."""
    for seed in range(20):
        native = gradients(name, seed, True, monkeypatch)
        portable = gradients(name, seed, False, monkeypatch)
        for one, other in zip(native, portable, strict=True):
            torch.testing.assert_close(one, other)


def test_a_loss_of_pooled_values_and_plan_is_differentiated_as_one() -> None:
    layer = UOTPAggregation(3, alpha2=0.0).double()
    x = torch.randn(5, 3, dtype=torch.double)
    weight = torch.randn(5, 3, dtype=torch.double)
    (r_q,) = (p for n, p in layer.named_parameters() if n.endswith("r_q"))

    def gradient(of_pooled: float, of_plan: float) -> float:
        solution = layer.solve(x)
        loss = (
            of_pooled * solution.pooled.sum() + of_plan * (solution.plan * weight).sum()
        )
        return float(torch.autograd.grad(loss, r_q)[0])

    # What passes inwards alone, for either sign of the loss.
    plain = {sign: gradient(sign, 0) for sign in (1, -1)}
    slope = max(plain.values(), key=abs) or min(plain.values())
    sign = 1 if plain[1] == slope else -1
    plan = {way: gradient(0, way) for way in (1, -1)}
    way = 1 if plan[1] != 0 else -1
    # The one part passes inwards; the other, the other way round, does not by itself.
    whole = gradient(sign, -way * 1e-3)
    assert whole == pytest.approx(plain[sign] - 1e-3 * plan[way], rel=1e-9)
