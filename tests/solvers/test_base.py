"""What must hold for every solver."""

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from tests.problems import alone, members, ragged
from torch_geometric_uotp import ops
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.problem import Problem
from torch_geometric_uotp.reductions import CSRReduction, has_torch_scatter
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.solvers import BADMM, Entropy, Quadratic, Sinkhorn, Solver

SOLVERS = pytest.mark.parametrize(
    "solver",
    [Sinkhorn(3), BADMM(3, Entropy()), BADMM(3, Quadratic())],
    ids=["sinkhorn", "badmm-entropy", "badmm-quadratic"],
)


def random_coefficients(steps: int, heads: int) -> Coefficients:
    def table(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(steps, heads, dtype=torch.double)

    return Coefficients(table(0.3, 2), table(0.1, 0.9), table(0.1, 0.9), table(1, 4))


@SOLVERS
def test_gradients(solver: Solver) -> None:
    problem = ragged(
        sizes=(2, 0, 3, 1), heads=2, channels=2, coefficients=random_coefficients(3, 2)
    )
    start = problem.coefficients
    inputs = [
        problem.scores,
        torch.randn_like(problem.scores),
        problem.log_p0,
        problem.log_q0,
        start.t,
        start.r_p,
        start.r_q,
        start.rho,
    ]
    inputs = [x.detach().clone().requires_grad_() for x in inputs]

    def pooled_and_plan(scores, values, log_p0, log_q0, t, r_p, r_q, rho):
        solution = solver(
            Problem.create(
                scores,
                problem.segments,
                Coefficients(t, r_p, r_q, rho),
                log_p0,
                log_q0,
                values,
            )
        )
        return solution.pooled, solution.plan

    if isinstance(solver, Sinkhorn):
        inputs[-1].requires_grad_(False)
    assert gradcheck(pooled_and_plan, inputs)
    assert gradgradcheck(pooled_and_plan, inputs, fast_mode=True)


@SOLVERS
def test_a_set_alone_and_in_a_batch_are_solved_alike(solver: Solver) -> None:
    problem = ragged(heads=2, coefficients=random_coefficients(3, 2))
    together = solver(problem)
    for number in (0, 2, 3, 4):
        single = solver(alone(problem, number))
        nodes = members(problem, number)
        close = {"rtol": 1e-12, "atol": 1e-14}
        torch.testing.assert_close(together.pooled[number], single.pooled[0], **close)
        torch.testing.assert_close(together.plan[nodes], single.plan, **close)
        torch.testing.assert_close(
            together.residual[number], single.residual[0], **close
        )
    assert together.pooled[1].eq(0).all()
    assert together.residual[1].eq(0).all()


@SOLVERS
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_steps_may_differ_in_number_from_the_tables(solver: Solver, steps: int) -> None:
    """A single row serves all steps, as its copies would."""
    problem = ragged(coefficients=random_coefficients(1, 1))
    copies = problem.coefficients.expand(steps, 1)
    solver = replace(solver, num_steps=steps)
    torch.testing.assert_close(
        solver(problem).pooled, solver(replace(problem, coefficients=copies)).pooled
    )


@patch.object(ops, "AVAILABLE", False)
@SOLVERS
def test_scatter_and_csr_reductions_agree(solver: Solver) -> None:
    if not has_torch_scatter():
        pytest.skip("torch-scatter is not installed")
    sizes = torch.tensor([3, 0, 1, 7, 2, 0])
    ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    scatter = Segments.from_ptr(ptr, 13)
    csr = replace(scatter, reduction=CSRReduction(scatter.index, ptr))
    scores = torch.randn(13, 2, 3, dtype=torch.double, requires_grad=True)
    log_q0 = torch.randn(13, 2, dtype=torch.double, requires_grad=True)
    coefficients = random_coefficients(1, 1)
    results = []
    for segments in (scatter, csr):
        problem = Problem.create(scores, segments, coefficients, log_q0=log_q0)
        solution = solver(problem)
        loss = solution.pooled.square().sum() + solution.plan.square().sum()
        inputs = [scores, log_q0]
        gradients = torch.autograd.grad(loss, inputs, create_graph=True)
        bend = sum(gradient.square().sum() for gradient in gradients)
        second = torch.autograd.grad(bend, inputs)
        results.append([solution.pooled, solution.plan, *gradients, *second])
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-12, atol=1e-14)


@SOLVERS
def test_heads_of_infinite_t_stand_beside_others(solver: Solver) -> None:
    coefficients = Coefficients(
        t=torch.tensor([[2.0, 2.0]], dtype=torch.double),
        r_p=torch.tensor([[0.5, 0.5]], dtype=torch.double),
        r_q=torch.tensor([[0.0, 0.0]], dtype=torch.double),
        rho=torch.tensor([[1.0, 1.0]], dtype=torch.double),
        hard=torch.tensor([True, False]),
    )
    problem = ragged(heads=2, coefficients=coefficients)
    solution = solver(problem)
    largest = problem.segments.max(problem.scores).flatten(1)
    filled = problem.segments.counts > 0
    assert solution.pooled[filled, :4].equal(largest[filled, :4])
    soft = solver(replace(problem, coefficients=replace(coefficients, hard=None)))
    assert solution.pooled[:, 4:].equal(soft.pooled[:, 4:])
    assert solution.plan[:, 4:].equal(soft.plan[:, 4:])
    assert solution.residual[:, 1].equal(soft.residual[:, 1])


@SOLVERS
def test_only_what_learns_borrows_a_gradient(solver: Solver) -> None:
    problem = ragged(heads=2)
    hard = replace(problem.coefficients, hard=torch.tensor([True, True]))
    t = hard.t.clone().requires_grad_()
    kind = type(solver)
    with patch.object(kind, "solve", autospec=True, side_effect=kind.solve) as solve:
        fixed = solver(replace(problem, coefficients=hard))
        assert solve.call_count == 1
        learned = solver(replace(problem, coefficients=replace(hard, t=t)))
        assert solve.call_count == 3
    assert fixed.pooled.equal(learned.pooled)
    assert not fixed.pooled.requires_grad
    assert torch.autograd.grad(learned.pooled.square().sum(), t)[0].abs() > 0


@pytest.mark.parametrize("num_steps", [0, -3])
def test_needs_a_step(num_steps: int) -> None:
    with pytest.raises(ValueError, match=f"at least 1 .got {num_steps}"):
        Sinkhorn(num_steps)


@SOLVERS
@pytest.mark.parametrize("t", [1.0, 1e2, 1e4])
def test_single_precision_rounds_potentials_and_nothing_else(
    solver: Solver, t: float
) -> None:
    """A potential of size t |x| has an error of its own rounding, no more."""
    exact = ragged(sizes=(30,) * 8, channels=16, coefficients=random_coefficients(1, 1))
    exact = replace(
        exact,
        coefficients=replace(exact.coefficients, t=torch.full((1, 1), t).double()),
    )
    rounding = torch.finfo(torch.float32).eps * (1 + t * exact.scores.abs().max())
    error = solver(in_single_precision(exact)).pooled.double() - solver(exact).pooled
    assert error.abs().max() < 30 * rounding * exact.scores.abs().max()


def in_single_precision(problem: Problem) -> Problem:
    start = problem.coefficients
    return Problem.create(
        scores=problem.scores.float(),
        segments=problem.segments,
        coefficients=Coefficients(
            *(table.float() for table in (start.t, start.r_p, start.r_q, start.rho))
        ),
        log_p0=problem.log_p0.float(),
        log_q0=problem.log_q0.float(),
    )
