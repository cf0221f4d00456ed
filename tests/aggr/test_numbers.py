"""Averages keep the places of their values, and plans their mass."""

import pytest
import torch
from torch import Tensor

from torch_geometric_uotp import (
    HierarchicalUOTPAggregation,
    NormalisedScores,
    ROTPAggregation,
    UOTPAggregation,
)

SOLVERS = {
    "sinkhorn": {},
    "sharp": {"alpha0": 1e-3},
    "badmm": {"solver": "badmm"},
    "sharp badmm": {"solver": "badmm", "alpha0": 1e-3},
    "quadratic": {"solver": "badmm", "regularizer": "quadratic"},
    "tol": {"tol": 1e-6},
    "scores": {"scores": NormalisedScores(40)},
}


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("nodes", [7, 3000])
def test_the_average_of_equal_values_is_their_value(path, name, nodes) -> None:
    x = torch.randn(nodes, 40)
    x[:, ::2] = 3 * torch.rand(20) + 0.1
    pooled = UOTPAggregation(40, **SOLVERS[name])(x)
    torch.testing.assert_close(pooled[0, ::2], x[0, ::2], rtol=1.2e-7, atol=0)


# Sharp ones round potentials of size t |x|, and with them the weights of the nodes.
@pytest.mark.parametrize("name", [name for name in SOLVERS if "sharp" not in name])
def test_an_offset_costs_no_more_than_the_rounding_of_features(path, name) -> None:
    x = torch.randn(500, 40) + 1000
    layer = UOTPAggregation(40, **SOLVERS[name])
    error = (layer(x).double() - layer(x.double())).abs().max()
    assert error < 1e-4


@pytest.mark.parametrize("alpha0", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("solver", ["sinkhorn", "badmm"])
@pytest.mark.parametrize("place", [0, 50, 99])
def test_one_far_node_costs_the_others_no_places(solver, alpha0, place) -> None:
    x = torch.randn(100, 8)
    x[place] = -1e6
    layer = UOTPAggregation(8, solver=solver, alpha0=alpha0)
    found, exact = layer(x).double(), layer(x.double())
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sharpness", [1e4, 1e6, 1e8])
@pytest.mark.parametrize("solver", ["sinkhorn", "badmm"])
def test_a_plan_has_mass_1_where_nodes_tie(path, solver, sharpness) -> None:
    x = torch.zeros(50, 16)
    x[:25] = 1.7
    layer = UOTPAggregation(16, solver=solver, alpha0=1 / sharpness, learn=False)
    plan = layer.solve(x).plan
    assert abs(float(plan.double().sum()) - 1) < 1e-5
    assert (plan >= 0).all()


def gradients(layer: torch.nn.Module, x: Tensor, threads: int) -> list[Tensor]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        x = x.clone().requires_grad_()
        pooled = layer(x, torch.arange(len(x)) * 3 // len(x))
        loss = (pooled * torch.linspace(-1, 1, x.size(1))).sum()
        return [pooled, *torch.autograd.grad(loss, [x, *layer.parameters()])]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "layer",
    [
        UOTPAggregation(300, heads=4, normalize=False),
        UOTPAggregation(300, normalize=False),
        UOTPAggregation(300, solver="badmm", normalize=False),
        ROTPAggregation(300),
        ROTPAggregation(300, solver="badmm"),
        HierarchicalUOTPAggregation(300, scores=NormalisedScores(300)),
        HierarchicalUOTPAggregation(300, weights="gated"),
        UOTPAggregation(300, node_prior="attention"),
    ],
    ids=repr,
)
def test_the_same_bits_for_any_number_of_threads(path, layer) -> None:
    x = torch.randn(600, 300)
    alone = gradients(layer, x, 1)
    for threads in (2, 3):
        for one, other in zip(gradients(layer, x, threads), alone, strict=True):
            assert torch.equal(one, other)
