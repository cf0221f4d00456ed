from dataclasses import replace

import pytest
import torch

from tests.problems import Alphas, conditional_mean, minimiser, objective, ragged
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.problem import Problem
from torch_geometric_uotp.solvers import BADMM, Entropy, Quadratic, Sinkhorn

REGULARIZERS = pytest.mark.parametrize(
    "regularizer", [Entropy(), Quadratic()], ids=["entropy", "quadratic"]
)
SETTINGS = [
    (1.0, 1.0, 1.0),
    (0.1, 1.0, 2.0),
    (10.0, 0.1, 3.0),
    (0.3, 0.1, 0.1),
    (1.0, 10.0, 10.0),
]
# Weights, relative to alpha0, at which 2,000 steps are enough.
PENALTIES = {Entropy: (30.0,) * 5, Quadratic: (3.0, 3.0, 1.0, 10.0, 3.0)}


def one_set(alphas: Alphas) -> Problem:
    # With a quadratic regulariser strong priors starve channels, whose
    # conditional expectation is then no longer defined.
    return ragged(sizes=(7,), channels=5, coefficients=alphas.table(), prior_scale=0.1)


@pytest.mark.once
@REGULARIZERS
@pytest.mark.parametrize("number", range(5))
def test_approaches_the_minimiser_of_the_objective(regularizer, number: int) -> None:
    alphas = Alphas(*SETTINGS[number], rho=PENALTIES[type(regularizer)][number])
    problem = one_set(alphas)
    quadratic = isinstance(regularizer, Quadratic)
    best = minimiser(problem, alphas, quadratic)
    least = objective(best, problem, alphas, quadratic)

    solution = BADMM(2_000, regularizer)(problem)
    error = solution.pooled[0] - conditional_mean(best, problem.scores[:, 0])
    assert error.abs().max() < 1e-3

    gaps = [
        objective(BADMM(k, regularizer)(problem).plan, problem, alphas, quadratic)
        - least
        for k in (30, 300, 2_000)
    ]
    assert gaps[0] > gaps[1] >= gaps[2] - 1e-9
    assert abs(gaps[2]) < 1e-5 * max(1, abs(least))


def test_entropy_and_sinkhorn_have_the_same_optimum() -> None:
    problem = ragged(heads=2, coefficients=Alphas(2.0, 0.5, 3.0, rho=10.0).table())
    difference = BADMM(3_000)(problem).pooled - Sinkhorn(3_000)(problem).pooled
    assert difference.abs().max() < 1e-3


@REGULARIZERS
@pytest.mark.parametrize("name", ["r_p", "r_q"])
def test_both_priors_move_the_plan_and_get_a_gradient(regularizer, name: str) -> None:
    """In the published code they do neither."""
    problem = ragged(sizes=(5, 3))
    fidelity = torch.full((1, 1), 0.3, dtype=torch.double, requires_grad=True)
    weak = replace(
        problem, coefficients=replace(problem.coefficients, **{name: fidelity})
    )
    strong = replace(
        problem,
        coefficients=replace(problem.coefficients, **{name: 0.9 + 0 * fidelity}),
    )
    solver = BADMM(4, regularizer)
    assert (solver(weak).plan - solver(strong).plan).abs().max() > 1e-2
    loss = solver(weak).pooled.square().sum()
    (gradient,) = torch.autograd.grad(loss, fidelity)
    assert gradient.abs().item() > 1e-4


@REGULARIZERS
@pytest.mark.parametrize("steps", [1, 4, 50])
def test_mass_is_one_at_every_step(regularizer, steps: int) -> None:
    solution = BADMM(steps, regularizer)(ragged(heads=2))
    mass = solution.segments.sum(solution.node_marginal)
    expected = (solution.segments.counts > 0).double().unsqueeze(-1).expand(-1, 2)
    torch.testing.assert_close(mass, expected)


@REGULARIZERS
def test_residual_falls(regularizer) -> None:
    problem = ragged(coefficients=Alphas(1.0, 1.0, 1.0, rho=1.0).table())
    residuals = [BADMM(k, regularizer)(problem).residual.max() for k in (4, 64, 2_000)]
    assert residuals[0] > residuals[1] > residuals[2]
    assert residuals[2] < 1e-3


def test_needs_a_penalty() -> None:
    problem = ragged(coefficients=Alphas(1.0, 1.0, 1.0).table())
    with pytest.raises(ValueError, match="'rho'"):
        BADMM(4)(problem)


@pytest.mark.parametrize("regularizer", [Entropy(), Quadratic()])
@pytest.mark.parametrize(
    ("alphas", "solved"), [((1.0, 9.0), False), ((1.0, 0.0), True)]
)
def test_residual_at_infinite_t_is_that_of_maxima(regularizer, alphas, solved) -> None:
    problem = ragged(coefficients=Coefficients.from_alphas(0.0, *alphas, 1.0))
    residual = BADMM(4, regularizer)(problem).residual
    assert bool((residual == 0).all()) == solved
    assert solved or residual.max() > 0.1
