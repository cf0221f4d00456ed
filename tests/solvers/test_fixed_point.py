"""Solving to a tolerance against long unrolling, on both paths."""

import warnings
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from tests.aggr.test_uotp import nodes
from tests.problems import Alphas, alone, members, ragged
from tests.solvers.test_sinkhorn import pot_plan
from torch_geometric_uotp import UOTPAggregation, ops
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.problem import Problem
from torch_geometric_uotp.semiring import LOG_SUM_EXP
from torch_geometric_uotp.solvers import FixedPoint, Sinkhorn
from torch_geometric_uotp.solvers.implicit import converge, take_plain_steps, unpack

inf = float("inf")
LIMITS = [
    Alphas(0.7, 0.4, 1.3),
    Alphas(0.1, 1.0, 2.0),
    Alphas(inf, 1.0, 1.0),  # t = 0
    Alphas(0.5, 0.0, 1.0),  # r_p = 0
    Alphas(0.5, 1.0, 0.0),  # r_q = 0
    Alphas(0.5, inf, 1.0),  # r_p = 1
    Alphas(0.5, 1.0, inf),  # r_q = 1
    Alphas(0.3, inf, inf),  # both: the system is singular along constants
]


@pytest.fixture(params=["portable", "native"], autouse=True)
def backend(request: pytest.FixtureRequest):
    if request.param == "native" and not ops.AVAILABLE:
        pytest.skip("the library is not built")
    with patch.object(ops, "AVAILABLE", request.param == "native"):
        yield request.param


def inputs(problem: Problem) -> list[Tensor]:
    start = problem.coefficients
    tables = (start.t, start.r_p, start.r_q)
    values = torch.randn_like(problem.scores)
    given = (problem.scores, values, problem.log_p0, problem.log_q0, *tables)
    return [x.detach().clone().requires_grad_() for x in given]


def state(problem: Problem, x, values, log_p0, log_q0, t, r_p, r_q) -> Problem:
    rows = Coefficients(t, r_p, r_q)
    return Problem.create(x, problem.segments, rows, log_p0, log_q0, values)


@pytest.mark.parametrize("alphas", LIMITS, ids=str)
def test_equals_long_unrolling_with_all_gradients(alphas: Alphas) -> None:
    problem = ragged(heads=2, channels=5, coefficients=alphas.table())
    given = inputs(problem)
    weight = torch.randn(5, 10, dtype=torch.double)
    found = []
    for solver in (FixedPoint(1e-12), Sinkhorn(400)):
        solution = solver(state(problem, *given))
        loss = (solution.pooled * weight).sum() + solution.plan.square().sum()
        gradients = torch.autograd.grad(loss, given)
        found.append([solution.pooled, solution.plan, *gradients])
        assert solution.residual.max() < 1e-11
    for mine, unrolled in zip(*found, strict=True):
        torch.testing.assert_close(mine, unrolled, rtol=1e-8, atol=1e-9)


def test_gradients_and_their_gradients() -> None:
    problem = ragged(sizes=(2, 0, 3, 1), heads=2, channels=3)

    def pooled_and_plan(*given: Tensor) -> tuple[Tensor, Tensor]:
        solution = FixedPoint(1e-13)(state(problem, *given))
        return solution.pooled, solution.plan

    given = inputs(problem)
    assert gradcheck(pooled_and_plan, given, fast_mode=True)
    assert gradgradcheck(pooled_and_plan, given, fast_mode=True)


def test_equals_the_plan_of_pot() -> None:
    alphas = Alphas(0.2, 0.5, 0.8)
    problem = ragged(coefficients=alphas.table())
    solution = FixedPoint(1e-12)(problem)
    for number in (0, 3, 4):
        expected = torch.from_numpy(pot_plan(problem, number, alphas, pairwise=True))
        found = solution.plan[members(problem, number)]
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-14)


def test_each_set_stops_on_its_own() -> None:
    """Beside harder sets, one of its bits may change, but not when it stops."""
    problem = ragged(
        sizes=(30, 0, 1, 7, 60), channels=16, coefficients=Alphas(0.05, 1, 2).table()
    )
    together = FixedPoint(1e-3)(problem)
    for number in (0, 2, 3, 4):
        single = FixedPoint(1e-3)(alone(problem, number))
        close = {"rtol": 0, "atol": 1e-12}
        torch.testing.assert_close(together.pooled[number], single.pooled[0], **close)
    assert together.pooled[1].eq(0).all()
    assert 1e-9 < together.residual.max() < 1e-3
    one = members(problem, 2)
    assert together.pooled[2].equal(problem.values[one].flatten())


@pytest.mark.parametrize("shape", [(30, 64), (100, 8), (300, 64)], ids=str)
def test_takes_a_tenth_of_plain_steps(shape: tuple[int, int], backend: str) -> None:
    nodes, channels = shape
    problem = ragged((nodes,) * 3, channels=channels, prior_scale=0)
    problem = replace(problem, coefficients=Alphas(0.01, 1, 1).table())
    explicit = problem.explicit()
    plain = take_plain_steps(explicit, LOG_SUM_EXP, 1e-6, 2_000)[2]
    steps = passes(problem, backend)
    assert plain.min() > 400
    assert steps.sum() <= plain.sum() / 10


@pytest.mark.parametrize("alpha0", [1e-4, 1e-2, 1.0, 100.0])
@pytest.mark.parametrize("alpha", [1e-4, 1e-2, 1.0, 100.0])
def test_is_never_much_worse_than_plain_steps(
    alpha0: float, alpha: float, backend: str
) -> None:
    problem = ragged(coefficients=Alphas(alpha0, alpha, alpha).table())
    plain = take_plain_steps(problem.explicit(), LOG_SUM_EXP, 1e-6, 3_000)[2]
    steps = passes(problem, backend)
    assert (steps <= 4 * plain + 8).all()


def passes(
    problem: Problem, backend: str, tol: float = 1e-6, max_steps: int = 10_000
) -> Tensor:
    """The passes [G, H] of each set."""
    explicit = problem.explicit()
    if backend == "portable":
        return converge(*unpack(explicit), tol, max_steps, None)[2]
    ptr, order = ops.layout(explicit.segments)
    start = explicit.coefficients
    tables = (start.t, start.r_p, start.r_q, explicit.log_p0, explicit.log_q0)
    forward = torch.ops.uotp.fixed_point_forward
    return forward(explicit.scores, None, ptr, order, *tables, tol, max_steps)[3]


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e8, 1e300])
@pytest.mark.parametrize("alphas", [*LIMITS, Alphas(1e-4, 1.0, 1.0)], ids=str)
@pytest.mark.filterwarnings("ignore:1000 steps were not enough:RuntimeWarning")
def test_finite_input_gives_finite_output(scale: float, alphas: Alphas) -> None:
    problem = ragged(coefficients=alphas.table(), scale=scale)
    given = inputs(problem)
    solution = FixedPoint(1e-9)(state(problem, *given))
    assert solution.pooled.isfinite().all()
    gradients = torch.autograd.grad(solution.pooled.sum() / scale, given[:2])
    assert all(g.isfinite().all() for g in gradients)


def test_memory_does_not_grow_with_the_steps() -> None:
    problem = ragged(sizes=(40, 9), channels=8)
    kept = []
    for alpha0 in (1.0, 0.02):
        numbers = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal numbers
            numbers += tensor.numel()
            return tensor

        start = Alphas(alpha0, 1, 1).table()
        given = inputs(replace(problem, coefficients=start))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            FixedPoint()(state(problem, *given))
        kept.append(numbers)
    assert kept[0] == kept[1]


def test_too_few_steps_are_told() -> None:
    problem = ragged(sizes=(30, 3), channels=8, coefficients=Alphas(0.01, 1, 1).table())
    with pytest.warns(RuntimeWarning, match="7 steps were not enough"):
        solution = FixedPoint(tol=1e-7, max_steps=7)(problem)
    assert solution.residual.max() > 1e-7


@pytest.mark.parametrize("by_solve", [True, False])
def test_the_warning_names_the_line_of_each_caller(by_solve: bool) -> None:
    layers = [UOTPAggregation(4, tol=1e-12, max_steps=1) for _ in range(2)]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        for _ in range(2):
            for layer in layers:
                _ = layer.solve(nodes(4)) if by_solve else layer(nodes(4))
        _ = layers[1](nodes(4))
    assert [Path(warning.filename) for warning in found] == [Path(__file__)] * 2
    assert found[0].lineno != found[1].lineno


def test_no_warning_of_heads_that_the_other_arithmetic_solves() -> None:
    alpha0 = torch.tensor([0.0, 1e-3])
    layer = UOTPAggregation(8, heads=2, alpha0=alpha0, alpha1=1.0, alpha2=1.0, tol=1e-6)
    index = torch.arange(60) // 20
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        residual = layer.solve(torch.randn(60, 8), index).residual
        sharp = UOTPAggregation(8, alpha0=0.0, alpha1=1.0, alpha2=1.0, tol=1e-6)
        assert sharp.solve(100 * torch.randn(60, 8), index).residual.eq(0).all()
    assert residual.max() < 1e-6


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 40])
def test_no_set_takes_more_than_its_steps(steps: int, backend: str) -> None:
    problem = ragged((50,), channels=16, coefficients=Alphas(0.01, 1, 1).table())
    assert 0 < passes(problem, backend, 1e-12, steps).max() <= steps


def test_heads_of_infinite_t_take_plain_steps_to_the_same_tolerance() -> None:
    half = torch.full((1, 1), 0.5, dtype=torch.double)
    hard = Coefficients(half, half, half, hard=torch.tensor([True]))
    problem = ragged(coefficients=hard)
    solution = FixedPoint(1e-10)(problem)
    unrolled = Sinkhorn(200)(problem)
    torch.testing.assert_close(solution.pooled, unrolled.pooled)
    assert solution.residual.max() < 1e-10


def test_single_precision_is_solved_in_double() -> None:
    """At t |x| = 300 float32 potentials would be off by 1e-5."""
    problem = ragged(sizes=(30, 8), channels=8, prior_scale=0)
    table = Alphas(0.01, 1, 1).table()
    rows = Coefficients(table.t.float(), table.r_p.float(), table.r_q.float())
    single = Problem.create(problem.scores.float(), problem.segments, rows)
    double = Coefficients(rows.t.double(), rows.r_p.double(), rows.r_q.double())
    exact = Problem.create(single.scores.double(), problem.segments, double)
    solution = FixedPoint(1e-9)(single)
    assert solution.pooled.dtype == torch.float32
    expected = FixedPoint(1e-9)(exact).pooled
    torch.testing.assert_close(solution.pooled.double(), expected, rtol=1e-6, atol=1e-6)


def test_coefficients_must_be_shared() -> None:
    row = torch.full((2, 1), 0.5, dtype=torch.double)
    problem = ragged(coefficients=Coefficients(row, row, row))
    with pytest.raises(ValueError, match=r"all steps share .got 2 steps"):
        FixedPoint()(problem)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tol": 0.0}, "'tol' must be positive and finite .got 0.0"),
        ({"tol": 1e-6, "max_steps": 0}, "'max_steps' must be at least 1 .got 0"),
        ({"max_steps": 9}, "'max_steps' needs 'tol' .got max_steps=9 alone"),
        ({"tol": 1e-6, "num_steps": 4}, "'num_steps' and 'tol' exclude each other"),
        ({"tol": 1e-6, "solver": "badmm"}, "needs solver='sinkhorn' .got 'badmm'"),
        ({"tol": 1e-6, "share_steps": False}, "'tol' needs share_steps=True"),
    ],
)
def test_layer_refuses(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UOTPAggregation(8, **arguments)


def test_layer_says_how_far_it_goes() -> None:
    assert "tol=1e-06, max_steps=50" in repr(UOTPAggregation(8, tol=1e-6, max_steps=50))
    assert "num_steps=4" in repr(UOTPAggregation(8))
