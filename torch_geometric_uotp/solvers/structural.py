r"""An outer loop that brings the structural term to the other solvers."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from torch_geometric_uotp.arguments import check_count
from torch_geometric_uotp.problem import Problem, Solution
from torch_geometric_uotp.semiring import Semiring
from torch_geometric_uotp.solvers.base import Solver, UnrolledSolver
from torch_geometric_uotp.solvers.sinkhorn import Sinkhorn
from torch_geometric_uotp.structure import StructuralProblem, Structure


@dataclass(frozen=True)
class Structural(UnrolledSolver):
    r"""Proximal steps for the structural term, each a transport problem of scores.

    The objective is :math:`F(P) = L(P) - \alpha_s h(P)` with L convex, the
    objective without structure, and :math:`h(P) = \langle C_2 P C_1, P \rangle`.
    Being Gram matrices, :math:`C_1` and :math:`C_2` have no negative
    eigenvalues, so h is convex, and its Bregman distance
    :math:`B(P, P') = h(P) - h(P') - \langle \nabla h(P'), P - P' \rangle` is
    :math:`h(P - P') \ge 0`. The proximal steps in that distance,

    .. math::
        P^{(m+1)} &= \arg\min_P \; F(P) + \alpha_s B(P, P^{(m)}) \\
                  &= \arg\min_P \; L(P) - 2 \alpha_s
                     \langle C_2 P^{(m)} C_1, P \rangle,

    are problems without structure whose scores are
    :math:`X + 2 \alpha_s C_2 P^{(m)} C_1`. The objective falls at every step, by
    at least :math:`\alpha_s h(P^{(m+1)} - P^{(m)})`, and what is left where it
    no longer falls is a stationary point of F itself. (That of `"Regularized
    Optimal Transport Layers for Generalized Global Pooling Operations"
    <https://arxiv.org/abs/2212.06339>`_, whose loop is proximal in the
    Kullback-Leibler divergence; here nothing is damped, so that
    :math:`\alpha_s = 0` is the problem without structure.) F is not convex: the
    point found is the one downhill of :math:`P^{(0)} = q_0 p_0^\top`.

    The residual is the larger of the inner solver's and of the total variation
    between the last two plans.

    Args:
        num_steps (int): Outer steps, 2 or more; a single one would know the
            priors' plan only. (default: :obj:`2`)
        inner (Solver): Solves the problem of each. (default: Sinkhorn)

    Raises:
        ValueError: If ``num_steps`` is not an integer of 2 or more.
    """

    num_steps: int = 2
    inner: Solver = field(default_factory=Sinkhorn)

    def __post_init__(self) -> None:
        check_count("num_outer_steps", self.num_steps, least=2)

    def rows(self, channels: int, normalize: bool) -> dict[str, slice]:
        # Of an outer step the next one knows the plan, mass and all.
        return self.inner.rows(channels, normalize=False)

    def solve(self, problem: Problem, ring: Semiring) -> Solution:
        if not isinstance(problem, StructuralProblem):
            raise ValueError(
                f"Structural needs a StructuralProblem (got {type(problem).__name__})"
            )
        problem = problem.projected()
        explicit = problem.explicit()
        structure = Structure.of(explicit.scores, problem.segments)
        gain = structure.gain_of_priors(explicit.node_prior, explicit.channel_prior)
        for _ in range(self.num_steps - 1):
            found = self.inner.solve(problem.tangent(gain), ring).make_plan()
            plan = found.view_as(gain).to(gain.dtype)
            gain = structure.gain(plan)
        last = self.inner.solve(problem.tangent(gain), ring)

        def residual() -> Tensor:
            moved = (last.plan.view_as(plan) - plan).abs().sum(-1)
            return torch.maximum(last.residual, problem.segments.sum(moved) / 2)

        return replace(last, make_residual=residual)

    def __str__(self) -> str:
        return f"{self.inner}, num_outer_steps={self.num_steps}"
