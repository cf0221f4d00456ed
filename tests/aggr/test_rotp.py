import copy
import math

import pytest
import torch
from torch_geometric.nn.aggr import MaxAggregation, MeanAggregation, SumAggregation

from tests.aggr.test_uotp import (
    ALL_SOLVERS,
    INDEX,
    Masking,
    empty_axis,
    might_not_be_there,
    nodes,
)
from torch_geometric_uotp import ROTPAggregation, UOTPAggregation


def value_and_gradient(layer, x: torch.Tensor, direction: torch.Tensor):
    x = x.clone().requires_grad_()
    out = layer(x, INDEX, dim_size=6)
    (gradient,) = torch.autograd.grad(out, x, direction)
    return out, gradient


@ALL_SOLVERS
@pytest.mark.parametrize("learn", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_without_weight_it_is_uotp_to_the_bit(
    solver: dict, learn: bool, dtype: torch.dtype
) -> None:
    arguments = {"heads": 2, "learn": learn, **solver}
    ours = ROTPAggregation(6, alpha_s=0.0, **arguments).to(dtype)
    plain = UOTPAggregation(6, **arguments).to(dtype)
    x, direction = nodes(dtype=dtype), torch.randn(6, 6, dtype=dtype)
    found = value_and_gradient(ours, x, direction)
    expected = value_and_gradient(plain, x, direction)
    assert found[0].equal(expected[0])
    torch.testing.assert_close(found[1], expected[1])


@ALL_SOLVERS
@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("mean", MeanAggregation()),
        ("max", MaxAggregation()),
        ("sum", SumAggregation()),
    ],
)
def test_is_exactly_a_conventional_pooling(name: str, reference, solver: dict) -> None:
    layer = ROTPAggregation.like(name, channels=6, **solver)
    x, direction = nodes(), torch.randn(6, 6)
    found = value_and_gradient(layer, x, direction)
    torch.testing.assert_close(found, value_and_gradient(reference, x, direction))


def test_nodes_that_a_prior_leaves_out_have_no_structure() -> None:
    left_out = torch.zeros(10, dtype=torch.bool)
    left_out[[0, 1, 7]] = True
    x = nodes(dtype=torch.double)
    x[:, 0] = x[:, 0].abs() * (2 * left_out - 1)
    layer = ROTPAggregation(6, node_prior=Masking()).double()
    might_not_be_there(layer, x, left_out)


def test_a_backward_pass_may_lie_within_autocast() -> None:
    """PyTorch takes some of it in half precision then."""
    layer, x = ROTPAggregation(6), nodes()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = torch.autograd.grad(layer(x, INDEX).sum(), [*layer.parameters()])
    outside = torch.autograd.grad(layer(x, INDEX).sum(), [*layer.parameters()])
    torch.testing.assert_close(inside, outside, rtol=2**-8, atol=0)


@ALL_SOLVERS
def test_structure_moves_the_pooling(solver: dict) -> None:
    x = nodes()
    pooled = [ROTPAggregation(6, alpha_s=a, **solver)(x, INDEX) for a in (0.0, 2.0)]
    assert (pooled[1] - pooled[0]).abs().max() > 1e-2


@ALL_SOLVERS
@pytest.mark.parametrize("heads", [1, 6])
def test_no_parameter_has_a_gradient_that_is_always_zero(
    solver: dict, heads: int
) -> None:
    layer = ROTPAggregation(6, heads=heads, share_steps=False, num_steps=2, **solver)
    weights = torch.randn(6, 6, dtype=torch.double)
    (layer(nodes(dtype=torch.double), INDEX, dim_size=6) * weights).sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad.abs().min() > 1e-9, name


@pytest.mark.parametrize("alpha_s", [0.0, 1.0])
def test_learns_the_weight_from_anywhere(alpha_s: float) -> None:
    """The end of its range, 0, included."""
    layer = ROTPAggregation(6, alpha_s=alpha_s, alpha2=1.0, num_steps=2)
    goal = ROTPAggregation(6, alpha_s=4.0, alpha2=1.0, num_steps=2, learn=False)
    optimizer = torch.optim.Adam(layer.structure.parameters(), lr=5e-3)
    for _ in range(40):
        x = nodes()
        optimizer.zero_grad()
        (layer(x, INDEX) - goal(x, INDEX)).square().sum().backward()
        optimizer.step()
    assert layer.coefficients()["alpha_s"].item() > alpha_s + 0.5


def test_heads_have_structures_of_their_own() -> None:
    weights = torch.tensor([0.3, 2.0])
    layer = ROTPAggregation(6, heads=2, alpha_s=weights)
    x = nodes()
    for head, part in enumerate((slice(0, 3), slice(3, 6))):
        single = ROTPAggregation(3, alpha_s=weights[head])
        torch.testing.assert_close(layer(x, INDEX)[:, part], single(x[:, part], INDEX))


def test_a_large_set_takes_memory_in_proportion() -> None:
    """Not a tensor that is larger than the features, forward or backward."""
    sizes: list[int] = []

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            found = out if isinstance(out, (tuple, list)) else [out]
            sizes.extend(x.numel() for x in found if isinstance(x, torch.Tensor))
            return out

    x = torch.randn(20_000, 16, requires_grad=True)
    with Largest():
        ROTPAggregation(16)(x).sum().backward()
    assert x.grad.isfinite().all()
    assert max(sizes) <= x.numel() + 16


def test_solve_says_what_structure_did() -> None:
    layer = ROTPAggregation(6, heads=2)
    solution = layer.solve(nodes(), INDEX, dim_size=6)
    assert solution.plan.shape == (10, 6)
    assert solution.residual.shape == (6, 2)
    assert solution.residual[3].eq(0).all()


def test_repr_and_reset() -> None:
    layer = ROTPAggregation(6, alpha_s=3.0, num_outer_steps=3)
    assert repr(layer) == (
        "ROTPAggregation(6, solver=sinkhorn, num_steps=4, num_outer_steps=3, heads=1, "
        "node_prior=uniform, alpha0=1, alpha1=1, alpha2=9, t=1, r_p=0.5, r_q=0.9, "
        "alpha_s=3)"
    )
    with torch.no_grad():
        layer.structure.weight.add_(0.02)
    layer.reset_parameters()
    assert layer.coefficients()["alpha_s"].item() == pytest.approx(3)


@pytest.mark.parametrize("learn", [True, False])
def test_a_weight_given_is_copied(learn: bool) -> None:
    given = torch.tensor([3.0], dtype=torch.double, requires_grad=True)
    layer = copy.deepcopy(ROTPAggregation(6, alpha_s=given, learn=learn))
    with torch.no_grad():
        given.fill_(7)
    layer.reset_parameters()
    assert layer.coefficients()["alpha_s"].item() == pytest.approx(3)


@pytest.mark.parametrize("native", [True, False])
def test_a_leading_axis_may_be_empty(native: bool) -> None:
    empty_axis(ROTPAggregation(6), native)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha_s": -1.0}, "'alpha_s' .*not negative .*-1.0"),
        ({"alpha_s": math.inf}, "'alpha_s' .*finite .*inf"),
        ({"alpha_s": torch.ones(3)}, r"'alpha_s' .*shape \(1,\)"),
        ({"alpha_s": 2000.0}, "learned 'alpha_s' must start at 1024 or below"),
        ({"num_outer_steps": 2.5}, "'num_outer_steps' must be an integer .*2.5"),
        ({"num_outer_steps": 1}, "'num_outer_steps' must be at least 2 .*got 1"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ROTPAggregation(6, **arguments)
