import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.problems import Alphas, members, more_if_slow, ragged
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.problem import Problem
from torch_geometric_uotp.solvers import Sinkhorn

ot = pytest.importorskip("ot", reason="POT, the oracle, is not installed")


def pot_plan(problem: Problem, number: int, alphas: Alphas, pairwise: bool):
    """The plan of one set by POT, divided by its mass."""
    nodes = members(problem, number)
    reg_m = (alphas.alpha2, alphas.alpha1) if pairwise else alphas.alpha1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it overwrites its copy of c
        plan = ot.unbalanced.sinkhorn_unbalanced(
            problem.log_q0[nodes, 0].exp().numpy(),
            problem.log_p0[0].exp().numpy(),
            -problem.scores[nodes, 0].numpy(),
            reg=alphas.alpha0,
            reg_m=reg_m,
            reg_type="entropy",
            numItermax=200_000,
            stopThr=1e-15,
        )
    return plan / plan.sum()


@pytest.mark.once
@pytest.mark.parametrize("pairwise", [False, True], ids=["scalar", "pairwise"])
@pytest.mark.parametrize("draw", more_if_slow(12, 4))
def test_converges_to_the_plan_of_pot(draw: int, pairwise: bool) -> None:
    torch.manual_seed(draw)
    alpha0, alpha1, alpha2 = (10 ** (6 * torch.rand(3) - 3)).tolist()
    alphas = Alphas(alpha0, alpha1, alpha2 if pairwise else alpha1)
    # In units of alpha0, so that POT's kernel neither over- nor underflows.
    problem = ragged(coefficients=alphas.table(), scale=2 * alpha0)
    solution = Sinkhorn(5_000)(problem)
    for number in (0, 2, 3, 4):
        expected = pot_plan(problem, number, alphas, pairwise)
        found = solution.plan[members(problem, number)].numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert solution.residual.max() < 1e-9


def test_plan_and_pooled_value_agree() -> None:
    problem = ragged(heads=2)
    solution = Sinkhorn(3)(problem)
    mass = solution.segments.sum(solution.plan)
    transported = solution.segments.sum(solution.plan * problem.scores.flatten(1))
    filled = mass > 0
    torch.testing.assert_close(
        solution.pooled[filled], (transported / mass.clamp(min=1e-300))[filled]
    )
    torch.testing.assert_close(solution.channel_marginal, mass)
    heads = mass.view(5, 2, 4).sum(-1)
    torch.testing.assert_close(
        heads, torch.tensor([1.0, 0, 1, 1, 1]).double()[:, None].expand(5, 2)
    )


def test_residual_falls_to_zero() -> None:
    problem = ragged(coefficients=Alphas(0.1, 1.0, 1.0).table())
    residuals = [Sinkhorn(k)(problem).residual.max().item() for k in (1, 4, 16, 2000)]
    assert residuals == sorted(residuals, reverse=True)
    assert residuals[0] > 0.1
    assert residuals[-1] < 1e-12


def test_translation_of_the_potentials_does_not_reach_the_output() -> None:
    """Nearly balanced, the potentials drift for long; the output is there."""
    problem = ragged(coefficients=Alphas(1.0, 1e3, 1e3).table())
    exact = Sinkhorn(20_000)(problem).pooled
    errors = [(Sinkhorn(k)(problem).pooled - exact).abs().max().item() for k in (4, 64)]
    assert errors[0] < 1e-1
    assert errors[1] < 1e-12


def test_published_grid_is_finite() -> None:
    """The 10 x 10 grid of coefficients on which the published code is not."""
    for alpha0 in np.logspace(-4, 4, 10):
        for alpha in np.logspace(-4, 4, 10):
            alphas = Alphas(float(alpha0), float(alpha), float(alpha))
            problem = ragged(coefficients=alphas.table())
            assert Sinkhorn(4)(problem).pooled.isfinite().all()


def test_limit_of_infinite_t_is_approached() -> None:
    problem = ragged()
    half = torch.full((1, 1), 0.5, dtype=torch.double)
    hard = Coefficients(half, half, half, hard=torch.tensor([True]))
    limit = Sinkhorn(3)(replace(problem, coefficients=hard))
    for t, error in ((1e2, 1e-1), (1e4, 1e-10)):
        soft = replace(problem, coefficients=Coefficients(t * half, half, half))
        assert (Sinkhorn(3)(soft).pooled - limit.pooled).abs().max() < error
