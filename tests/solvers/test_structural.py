from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from tests.problems import (
    Alphas,
    alone,
    descend,
    members,
    objective,
    ragged,
    similarity,
)
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.solvers import (
    BADMM,
    Entropy,
    Quadratic,
    Sinkhorn,
    Solver,
    Structural,
)
from torch_geometric_uotp.structure import StructuralProblem

SOLVERS = pytest.mark.parametrize(
    "inner",
    [Sinkhorn(3), BADMM(3, Entropy()), BADMM(3, Quadratic())],
    ids=["sinkhorn", "badmm-entropy", "badmm-quadratic"],
)
# A solver, its penalty, how many outer steps, and within what of the least value.
CONVERGED = [
    (Sinkhorn(40), None, 40, 1e-10),
    (BADMM(200, Entropy()), 30.0, 12, 1e-5),
    (BADMM(200, Quadratic()), 1.0, 12, 1e-5),
]
# It goes from plan to plan, which PyTorch's operators compute.
pytestmark = pytest.mark.once
ALPHAS = Alphas(1.0, 0.5, 1.0)


def structural(alpha_s: float | Tensor, **kwargs) -> StructuralProblem:
    problem = ragged(**kwargs)
    weight = torch.as_tensor(alpha_s).double().expand(problem.scores.size(1))
    return StructuralProblem.extend(problem, weight)


def one_set(alpha_s: float, rho: float | None = None) -> StructuralProblem:
    return structural(
        alpha_s,
        sizes=(5,),
        channels=3,
        coefficients=replace(ALPHAS, rho=rho).table(),
        scale=1.5,
        prior_scale=0.3,
    )


def value(plan: Tensor, problem: StructuralProblem, quadratic: bool) -> Tensor:
    """The stated objective."""
    gain = problem.alpha_s[0] * similarity(plan, problem.scores[:, 0])
    return objective(plan, problem, ALPHAS, quadratic) - gain


@pytest.mark.parametrize("alpha_s", [0.5, 3.0])
@pytest.mark.parametrize(("inner", "rho", "steps", "tolerance"), CONVERGED)
def test_ends_at_the_minimum_that_scipy_finds(
    inner: Solver, rho: float | None, steps: int, tolerance: float, alpha_s: float
) -> None:
    problem = one_set(alpha_s, rho)
    quadratic = isinstance(getattr(inner, "regularizer", None), Quadratic)

    def stated(plan: Tensor) -> Tensor:
        return value(plan, problem, quadratic)

    plan = Structural(steps, inner)(problem).plan
    shape = problem.scores[:, 0].shape
    # It is not convex: from several starts, and from where it ended.
    starts = [torch.zeros(shape).double(), *2 * torch.randn(2, *shape).double()]
    found = [descend(stated, start, 1e-7) for start in [*starts, plan.log()]]
    least = min(map(stated, found))
    assert abs(stated(plan) - least) < tolerance * max(1, abs(least))


def test_the_objective_falls_at_every_outer_step() -> None:
    problem = one_set(3.0)
    plans = [Structural(m, Sinkhorn(60))(problem).plan for m in range(2, 9)]
    values = torch.stack([value(plan, problem, False) for plan in plans])
    assert (values.diff() < 1e-12).all()
    assert values[0] - values[-1] > 1e-4


def test_residual_falls() -> None:
    problem = structural(1.0, coefficients=ALPHAS.table())
    residuals = [Structural(m, Sinkhorn(60))(problem).residual for m in (2, 5, 40)]
    assert (residuals[0] >= residuals[1]).all()
    assert residuals[1].max() > residuals[2].max()
    assert residuals[2].max() < 1e-9


@SOLVERS
def test_without_weight_it_is_the_inner_solver(inner: Solver) -> None:
    problem = structural(0.0, heads=2)
    ours, plain = Structural(2, inner)(problem), inner(problem)
    assert ours.pooled.equal(plain.pooled)
    assert ours.plan.equal(plain.plan)


@SOLVERS
def test_a_set_alone_and_in_a_batch_are_solved_alike(inner: Solver) -> None:
    problem = structural(1.0, heads=2)
    solver = Structural(2, inner)
    together = solver(problem)
    for number in (0, 2, 3, 4):
        single = solver(
            StructuralProblem.extend(alone(problem, number), problem.alpha_s)
        )
        close = {"rtol": 1e-12, "atol": 1e-14}
        nodes = members(problem, number)
        torch.testing.assert_close(together.pooled[number], single.pooled[0], **close)
        torch.testing.assert_close(together.plan[nodes], single.plan, **close)
    assert together.pooled[1].eq(0).all()
    assert together.residual[1].eq(0).all()


@SOLVERS
def test_gradients(inner: Solver) -> None:
    problem = structural(0.8, sizes=(2, 0, 3, 1), heads=2, channels=2)
    start = problem.coefficients
    inputs = [problem.scores, problem.alpha_s, problem.log_q0, start.t, start.r_p]
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    solver = Structural(2, replace(inner, num_steps=2))

    def pooled_and_plan(scores, alpha_s, log_q0, t, r_p):
        solution = solver(
            replace(
                problem,
                scores=scores,
                values=scores,
                coefficients=Coefficients(t, r_p, start.r_q, start.rho),
                log_q0=log_q0,
                alpha_s=alpha_s,
            )
        )
        return solution.pooled, solution.plan

    assert gradcheck(pooled_and_plan, inputs, fast_mode=True)
    assert gradgradcheck(pooled_and_plan, inputs, fast_mode=True)


def test_needs_a_structure_and_two_steps() -> None:
    with pytest.raises(ValueError, match=r"StructuralProblem \(got Problem\)"):
        Structural()(ragged())
    with pytest.raises(ValueError, match=r"'num_outer_steps' .*got 1"):
        Structural(1)
