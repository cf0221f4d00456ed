import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from tests.problems import members, ragged
from torch_geometric_uotp.problem import Problem
from torch_geometric_uotp.structure import StructuralProblem, Structure


def similarities(x: Tensor) -> tuple[Tensor, Tensor]:
    """C1 and C2 as they are stated."""
    of_channels, of_nodes = x.T @ x / x.size(0), x @ x.T / x.size(1)
    return of_channels / of_channels.max(), of_nodes / of_nodes.max()


def test_gain_is_that_of_the_matrices_of_each_set_and_head() -> None:
    problem = ragged(heads=2)
    plan = torch.randn_like(problem.scores)
    gain = Structure.of(problem.scores, problem.segments).gain(plan)
    for number in (0, 2, 3, 4):
        nodes = members(problem, number)
        for head in range(2):
            of_channels, of_nodes = similarities(problem.scores[nodes, head])
            expected = of_nodes @ plan[nodes, head] @ of_channels
            torch.testing.assert_close(gain[nodes, head], expected)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e18])
def test_only_angles_and_proportions_count(scale: float) -> None:
    problem = ragged()
    x, plan = problem.scores.float(), torch.rand_like(problem.scores).float()
    gain = Structure.of(x, problem.segments).gain(plan)
    scaled = Structure.of(scale * x, problem.segments).gain(plan)
    torch.testing.assert_close(scaled, gain)


def test_zeros_have_no_structure() -> None:
    problem = ragged()
    x = problem.scores.clone()
    x[members(problem, 3)] = 0
    x.requires_grad_()
    gain = Structure.of(x, problem.segments).gain(torch.rand_like(x))
    assert gain[members(problem, 3)].eq(0).all()
    (gradient,) = torch.autograd.grad(gain.sum(), x)
    assert gradient.isfinite().all()


def test_derivatives() -> None:
    problem = ragged(sizes=(2, 0, 3, 1), channels=2)
    inputs = [problem.scores, torch.rand_like(problem.scores)]
    inputs = [x.clone().requires_grad_() for x in inputs]

    def gain(x: Tensor, plan: Tensor) -> Tensor:
        return Structure.of(x, problem.segments).gain(plan)

    assert gradcheck(gain, inputs)
    assert gradgradcheck(gain, inputs, fast_mode=True)


def test_the_tangent_changes_scores_alone() -> None:
    problem = StructuralProblem.extend(ragged(), torch.tensor([0.7]).double())
    gain = torch.rand_like(problem.scores)
    tangent = problem.tangent(gain)
    torch.testing.assert_close(tangent.scores, problem.scores + 2 * 0.7 * gain)
    assert tangent.values.equal(problem.values)


@pytest.mark.parametrize("uniform", [True, False])
def test_the_gain_of_the_priors_is_that_of_their_plan(uniform: bool) -> None:
    problem = ragged(heads=2)
    if uniform:
        problem = Problem.create(problem.scores, problem.segments, problem.coefficients)
    explicit = problem.explicit()
    log_q0, log_p0 = explicit.node_prior, explicit.channel_prior
    structure = Structure.of(problem.scores, problem.segments)
    torch.testing.assert_close(
        structure.gain_of_priors(log_q0, log_p0),
        structure.gain((log_q0.unsqueeze(-1) + log_p0).exp()),
    )
