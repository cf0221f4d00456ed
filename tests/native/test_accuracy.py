"""The layer on either path, over random shapes and the whole range of coefficients."""

import random
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from tests.problems import more_if_slow
from torch_geometric_uotp import UOTPAggregation, ops

pytestmark = pytest.mark.skipif(not ops.AVAILABLE, reason="the library is not built")


def draw(seed: int, **solver: str) -> tuple[UOTPAggregation, Tensor, Tensor, int]:
    """A layer of fixed coefficients, features of any size, sets of any sizes."""
    random.seed(seed)
    torch.manual_seed(seed)
    channels = random.choice([2, 16, 33, 64, 200])
    counts = [random.choice([0, 1, 2, 7, 30, 200, 1500]) for _ in range(8)]
    index = torch.arange(8).repeat_interleave(torch.tensor(counts))
    if seed % 2:
        index = index[torch.randperm(index.numel())]
    alphas = {f"alpha{i}": 10 ** random.uniform(-3, 3) for i in range(3)}
    layer = UOTPAggregation(
        channels,
        num_steps=random.randint(1, 6),
        learn=False,
        node_prior=random.choice(["uniform", "attention"]),
        channel_prior=random.choice([None, torch.rand(channels) + 0.1]),
        **alphas,
        **solver,
    )
    scale = 10 ** random.uniform(-3, 3)
    x = scale * (torch.randn(index.numel(), channels) + random.choice([0, 1]))
    return layer, x, index, 8


def value_and_gradient(
    layer: UOTPAggregation, x: Tensor, index: Tensor, sets: int
) -> list[Tensor]:
    x = x.detach().requires_grad_()
    out = layer(x, index, dim_size=sets)
    direction = torch.ones_like(out).cumsum(0).sin()
    return [out.double(), torch.autograd.grad(out, x, direction)[0].double()]


# With each solver, what of an exponent's rounding, 6e-8 t |x| (docs/method.md), it may
# lose beyond that. Sinkhorn takes exponents from the middle of a set's range; BADMM's,
# to the base 2, are rounded at half as much again as the portable path's.
SOLVERS = {
    "sinkhorn": ({}, 0.0),
    "badmm-e": ({"solver": "badmm"}, 6e-8),
    "badmm-q": ({"solver": "badmm", "regularizer": "quadratic"}, 6e-8),
}


@pytest.mark.parametrize(("solver", "rounding"), SOLVERS.values(), ids=SOLVERS)
@pytest.mark.parametrize("seed", more_if_slow(60, 15))
def test_single_precision_loses_no_more_than_the_portable_path(
    seed: int, solver: dict[str, str], rounding: float
) -> None:
    layer, x, index, sets = draw(seed, **solver)
    native = value_and_gradient(layer, x, index, sets)
    with patch.object(ops, "AVAILABLE", False):
        portable = value_and_gradient(layer, x, index, sets)
        exact = value_and_gradient(layer.double(), x.double(), index, sets)
    exponent = layer.coefficients()["t"].max() * x.abs().max()
    for found, other, truth in zip(native, portable, exact, strict=True):
        floor = (2e-6 + rounding * exponent) * (1 + truth.abs().max())
        assert (found - truth).abs().max() < 3 * (other - truth).abs().max() + floor


@pytest.mark.parametrize("channels", [4, 32])
def test_equal_weights_do_not_round_the_same_way_every_time(channels: int) -> None:
    torch.manual_seed(0)
    x = (torch.randn(3136, channels) + 1).requires_grad_()
    out = UOTPAggregation.like("mean", channels)(x, torch.zeros(3136).long())
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.allclose(out.double(), x.double().mean(0), rtol=1e-6)
    assert torch.allclose(3136 * gradient, torch.ones(()), rtol=1e-6)
