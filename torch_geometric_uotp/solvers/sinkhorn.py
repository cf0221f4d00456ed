r"""Sinkhorn scaling for the entropic problem."""

from dataclasses import dataclass

import torch
from torch import Tensor

from torch_geometric_uotp import ops
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.problem import Problem, Solution
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.semiring import LOG_SUM_EXP, Semiring
from torch_geometric_uotp.solvers.base import UnrolledSolver
from torch_geometric_uotp.solvers.native import (
    as_given,
    pool_natively,
    takes,
    with_portable,
)


@dataclass(frozen=True)
class Sinkhorn(UnrolledSolver):
    r"""Alternating maximisation of the dual, in the log domain.

    With the regulariser :math:`R(P) = \langle P, \log P - 1 \rangle` the plan
    is :math:`P_{nd} = \exp(t x_{nd} + a_d + b_n)` up to its mass. Starting
    from a = 0, each step updates b and then a from the new b:

    .. math::
        b_n &\leftarrow r_q (\log q_{0n} - \mathrm{LSE}_d(t x_{nd} + a_d)) \\
        a_d &\leftarrow r_p (\log p_{0d} - \mathrm{LSE}_n(t x_{nd} + b_n))

    (`"Scaling Algorithms for Unbalanced Transport Problems"
    <https://arxiv.org/abs/1607.05816>`_, with scaled potentials). Normalising
    channels cancels a, so the output needs b alone:

    .. math::
        f_d = \sum_n \mathrm{softmax}_n(t x_{nd} + b_n) \, x_{nd}.

    The residual is that of the optimality condition for b, at the a that is
    optimal for it: half the range over the set of
    :math:`b_n - r_q (\log q_{0n} - \mathrm{LSE}_d)`. A constant in b changes
    the mass alone, which is fixed, so it does not count.

    Args:
        num_steps (int): K. (default: :obj:`4`)
    """

    def rows(self, channels: int, normalize: bool) -> dict[str, slice]:
        if channels == 1:
            # The potential of a single channel is a constant, which cancels:
            # nothing that happens before the last step reaches the output.
            return {"t": slice(-1, None), "r_p": slice(0), "r_q": slice(-1, None)}
        steps = slice(self.num_steps)
        before = slice(self.num_steps - 1)
        return {"t": steps, "r_p": before if normalize else steps, "r_q": steps}

    def solve(self, problem: Problem, ring: Semiring) -> Solution:
        if ring is LOG_SUM_EXP and takes(problem):
            pooled = pool_natively(ops.SINKHORN, problem, self.num_steps)
            return with_portable(
                pooled, problem, lambda p: self._solve_portably(p, LOG_SUM_EXP)
            )
        return self._solve_portably(problem.explicit(), ring)

    def _solve_portably(self, problem: Problem, ring: Semiring) -> Solution:
        a: Tensor | None = None
        for k in range(self.num_steps - 1):
            b = node_potential(problem, ring, k, a)
            a = channel_potential(problem, ring, k, b)
        last = self.num_steps - 1
        b = node_potential(problem, ring, last, a)
        z = logits(problem, ring, last, b)
        return Solution(
            pooled=ring.mean(z, problem.values, problem.segments).flatten(1),
            segments=problem.segments,
            heads=problem.scores.size(1),
            make_plan=lambda: plan(problem, ring, last, b),
            make_residual=lambda: residual(problem, ring, last, b),
        )


def logits(problem: Problem, ring: Semiring, k: int, b: Tensor) -> Tensor:
    """t x + b, without the channel potentials, [N, H, C]."""
    t = problem.at_nodes(problem.coefficients.step(k).t)
    return ring.scores(problem.scores, t) + b.unsqueeze(-1)


def node_potential(
    problem: Problem, ring: Semiring, k: int, a: Tensor | None
) -> Tensor:
    """b from a, [N, H]; from a = 0 where there is none yet."""
    step = problem.coefficients.step(k)
    z = ring.scores(problem.scores, problem.at_nodes(step.t))
    if a is not None:
        z = z + problem.segments.gather(a)
    slack = ring.prior(problem.node_prior) - ring.channels(z)
    return problem.leave_out(problem.at_nodes(step.r_q) * slack)


def channel_potential(problem: Problem, ring: Semiring, k: int, b: Tensor) -> Tensor:
    """a from b, [G, H, C], with the coefficients of step k of an explicit problem."""
    lse = ring.nodes(logits(problem, ring, k, b), problem.segments)
    r_p = problem.at_sets(problem.coefficients.step(k).r_p)
    return r_p.unsqueeze(-1) * (ring.prior(problem.channel_prior) - lse)


def plan(problem: Problem, ring: Semiring, k: int, b: Tensor) -> Tensor:
    """The plan at b, of mass 1, [N, H C]."""
    segments = problem.segments
    z = logits(problem, ring, k, b)
    log_p = channel_potential(problem, ring, k, b) + ring.nodes(z, segments)
    shares = ring.shares(log_p, problem.channel_prior)
    return (segments.gather(shares) * ring.weights(z, segments)).flatten(1)


def step(problem: Problem, ring: Semiring, k: int, b: Tensor) -> Tensor:
    """b after one more step, from the a that is optimal for it."""
    return node_potential(problem, ring, k, channel_potential(problem, ring, k, b))


def residual(problem: Problem, ring: Semiring, k: int, b: Tensor) -> Tensor:
    """How far b is from being left as it is, [G, H]: see :class:`Sinkhorn`."""
    return half_range(problem, b - step(problem, ring, k, b))


def half_range(problem: Problem, gap: Tensor) -> Tensor:
    """Half the range of a number a node, [N, H], over each set, [G, H].

    Nodes that are left out do not count.
    """
    span = problem.segments.max(problem.leave_out(gap))
    span = span + problem.segments.max(problem.leave_out(-gap))
    return span.masked_fill(span == -torch.inf, 0) / 2


def _pool_portably(
    scores: Tensor,
    values: Tensor | None,
    ptr: Tensor,
    order: Tensor | None,
    t: Tensor,
    r_p: Tensor,
    r_q: Tensor,
    log_p0: Tensor | None,
    log_q0: Tensor | None,
    num_steps: int,
    gain: float,
    ceiling: float,
) -> Tensor:
    """The native operator, on its own arguments, by PyTorch's operators."""
    segments = Segments.from_places(ptr, order, scores.size(0))
    coefficients = as_given(Coefficients(t, r_p, r_q), gain, ceiling)
    problem = Problem.create(scores, segments, coefficients, log_p0, log_q0, values)
    return (
        Sinkhorn(num_steps)
        ._solve_portably(problem.explicit(), LOG_SUM_EXP)
        .pooled.view(-1, *scores.shape[1:])
    )


ops.register(ops.SINKHORN, _pool_portably)
