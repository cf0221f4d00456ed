"""A node that its prior leaves out counts as if it were not there."""

import pytest
import torch
from torch import Tensor
from torch.nn import Module

from torch_geometric_uotp import NormalisedScores, ROTPAggregation, UOTPAggregation

INF, NAN = float("inf"), float("nan")
POISON = (1e31, torch.finfo(torch.float32).max, INF, -INF, NAN)
INDEX = torch.tensor([2, 0, 0, 0, 0, 1, 1, 2, 1, 0])
PRESENT = torch.tensor([1, 0, 1, 1, 0, 0, 1, 1, 0, 1]).bool()
LAYERS = {
    "sinkhorn": {},
    "badmm": {"solver": "badmm"},
    "badmm, quadratic": {"solver": "badmm", "regularizer": "quadratic"},
    "tol": {"tol": 1e-9},
    "sharp": {"alpha0": 2e-3},
    "sharp badmm": {"alpha0": 2e-3, "solver": "badmm"},
    "alpha0=0": {"alpha0": 0.0},
    "alpha0=0, badmm": {"alpha0": 0.0, "solver": "badmm"},
    "alpha2=0": {"alpha2": 0.0},
    "unnormalised": {"normalize": False},
    "sizes": {"size_power": 0.5},
}


def layer_of(given: dict, kind: type[UOTPAggregation] = UOTPAggregation) -> Module:
    return kind(4, heads=2, **given)


def results(layer: Module, x: Tensor, index: Tensor, prior: Tensor) -> list[Tensor]:
    """Pooled values, the gradients of parameters and, last, that of the nodes."""
    x = x.clone().requires_grad_()
    pooled = layer(x, index, dim_size=4, node_prior=prior)
    parameters = list(layer.parameters())
    of_x, *others = torch.autograd.grad(pooled.square().sum(), [x, *parameters])
    return [pooled.detach(), *others, of_x]


def tolerance(name: str, dtype: torch.dtype) -> float:
    if dtype == torch.float64:
        return 1e-8
    # At t = 500 what adds up to a coefficient's gradient is 500 times as large.
    return 1e-2 if dtype == torch.bfloat16 or "sharp" in name else 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", [UOTPAggregation, ROTPAggregation])
@pytest.mark.parametrize("name", LAYERS)
def test_what_it_holds_reaches_nothing(path, name, kind, dtype) -> None:
    layer = layer_of(LAYERS[name], kind)
    x, prior = torch.randn(10, 4).to(dtype), PRESENT * torch.rand(10)
    expected = results(layer, x[PRESENT], INDEX[PRESENT], prior[PRESENT])
    for poison in POISON:
        x[~PRESENT] = poison
        *found, of_x = results(layer, x, INDEX, prior)
        assert (of_x[~PRESENT] == 0).all()
        for one, other in zip([*found, of_x[PRESENT]], expected, strict=True):
            error = tolerance(name, dtype)
            torch.testing.assert_close(one, other, rtol=error, atol=error)


@pytest.mark.parametrize("name", LAYERS)
def test_plans_are_those_of_the_others(path, name) -> None:
    layer, x = layer_of(LAYERS[name]), torch.randn(10, 4)
    x[~PRESENT] = NAN
    prior = PRESENT.float()
    found = layer.solve(x, INDEX, node_prior=prior)
    expected = layer.solve(x[PRESENT], INDEX[PRESENT], node_prior=prior[PRESENT])
    assert (found.plan[~PRESENT] == 0).all()
    torch.testing.assert_close(found.plan[PRESENT], expected.plan)
    torch.testing.assert_close(found.residual, expected.residual, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "unnormalised"])
def test_a_last_node_is_returned(path, name) -> None:
    layer, x = layer_of({**LAYERS[name], "size_power": None}), torch.randn(5, 4)
    prior = torch.tensor([0.0, 0, 0.3, 0, 0])
    x[prior == 0] = NAN
    pooled = layer(x, torch.zeros(5, dtype=torch.long), node_prior=prior)
    torch.testing.assert_close(pooled[0], x[2], rtol=0, atol=0)


@pytest.mark.parametrize("poison", POISON)
@pytest.mark.parametrize("name", LAYERS)
def test_a_set_without_other_nodes_gives_0(path, name, poison: float) -> None:
    layer, prior = layer_of(LAYERS[name]), torch.ones(10)
    prior[INDEX == 1] = 0
    x = torch.randn(10, 4)
    x[INDEX == 1] = poison
    *found, of_x = results(layer, x, INDEX, prior)
    assert (found[0][1] == 0).all()
    assert all(one.isfinite().all() for one in [*found, of_x])


@pytest.mark.parametrize("name", ["sinkhorn", "badmm", "tol", "alpha0=0"])
def test_each_head_leaves_out_its_own(path, name) -> None:
    layer, x = layer_of(LAYERS[name]), torch.randn(10, 4)
    prior = torch.stack([PRESENT, torch.ones(10)], 1)
    without = layer(x[PRESENT], INDEX[PRESENT], dim_size=3)
    found, whole = layer(x, INDEX, node_prior=prior), layer(x, INDEX)
    expected = torch.cat([without[:, :2], whole[:, 2:]], 1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


class Masked(Module):
    """Logits that leave nodes out as code for masks often writes it."""

    def forward(self, x: Tensor) -> Tensor:
        lowest = torch.finfo(x.dtype).min
        return torch.zeros(len(x), 1).masked_fill(~PRESENT.unsqueeze(1), lowest)


def test_the_lowest_number_leaves_out_too(path) -> None:
    layer, x = UOTPAggregation(4, node_prior=Masked()), torch.randn(10, 4)
    expected = UOTPAggregation(4)(x[PRESENT], INDEX[PRESENT])
    x[~PRESENT] = INF
    torch.testing.assert_close(layer(x, INDEX), expected)


@pytest.mark.parametrize(
    ("x", "prior", "expected"),
    [
        ([[5.0], [1.0], [2.0]], [0.0, 1, 1], [1.5393]),
        (
            [[0.0, 0.1, 0.2, 0.3], [0.4, 0.5, 0.6, 0.7], [0.8, 0.9, 1.0, 1.1]],
            [1.0, 0, 1],
            [0.4537, 0.5532, 0.6527, 0.7521],
        ),
    ],
)
def test_badmm_at_known_values(path, x, prior, expected) -> None:
    x = torch.tensor(x)
    layer = UOTPAggregation(x.size(1), solver="badmm")
    found = layer(x, torch.zeros(3, dtype=torch.long), node_prior=torch.tensor(prior))
    torch.testing.assert_close(found[0], torch.tensor(expected), rtol=0, atol=6e-5)


@pytest.mark.parametrize("mapped", [False, True])
def test_weights_of_scores_do_not_see_it(path, mapped: bool) -> None:
    layer = UOTPAggregation(4, scores=NormalisedScores(4, mapped))
    x, prior = torch.randn(10, 4), PRESENT.float()
    expected = results(layer, x[PRESENT], INDEX[PRESENT], prior[PRESENT])
    x[~PRESENT] = NAN
    found = results(layer, x, INDEX, prior)
    for one, other in zip(found[:-1], expected[:-1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_prior_of_0_has_no_gradient(path) -> None:
    layer, x = UOTPAggregation(4), torch.randn(10, 4)
    prior = PRESENT.float().requires_grad_()
    layer(x, INDEX, node_prior=prior).sum().backward()
    assert (prior.grad[~PRESENT] == 0).all()
    assert prior.grad.isfinite().all()
