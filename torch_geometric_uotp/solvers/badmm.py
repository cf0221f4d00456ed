r"""Bregman ADMM for the entropic and the quadratic problem."""

from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from torch_geometric_uotp import ops
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.problem import Problem, Solution
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.semiring import LOG_SUM_EXP, MAX_PLUS, Semiring
from torch_geometric_uotp.solvers.base import UnrolledSolver
from torch_geometric_uotp.solvers.native import (
    as_given,
    pool_natively,
    takes,
    with_portable,
)


class Regularizer(Protocol):
    """How R(P) enters the two subproblems, in units of alpha0.

    ``rho`` is a good start for the penalty: over settings of the coefficients
    from 0.1 to 10, four steps with it end closest to the optimum.
    """

    rho: float
    quadratic: bool

    def pull(self, dual: Tensor, s: Tensor) -> Tensor:
        """What is taken from the scores in the step for P."""

    def kernel(self, log_p: Tensor, dual: Tensor, p: Tensor, rho: Tensor) -> Tensor:
        """The unnormalised log S of the step for S."""

    def weight(self, rho: Tensor) -> Tensor:
        """The weight of entropy in the step for S."""


class Entropy:
    r""":math:`R(P) = \langle P, \log P - 1 \rangle`, kept whole in the step for S."""

    rho = 3.0
    quadratic = False

    def pull(self, dual: Tensor, s: Tensor) -> Tensor:
        return dual

    def kernel(self, log_p: Tensor, dual: Tensor, p: Tensor, rho: Tensor) -> Tensor:
        return (dual + rho * log_p) / (1 + rho)

    def weight(self, rho: Tensor) -> Tensor:
        return 1 + rho


class Quadratic:
    r""":math:`R(P) = \|P\|_F^2`, split as :math:`\langle P, S \rangle`."""

    rho = 1.0
    quadratic = True

    def pull(self, dual: Tensor, s: Tensor) -> Tensor:
        return dual + s

    def kernel(self, log_p: Tensor, dual: Tensor, p: Tensor, rho: Tensor) -> Tensor:
        return log_p + (dual - p) / rho

    def weight(self, rho: Tensor) -> Tensor:
        return rho


@dataclass(frozen=True)
class State:
    """Splitting variables and their dual, each of shape [N, H, C]."""

    log_p: Tensor
    log_s: Tensor
    s: Tensor
    dual: Tensor


@dataclass(frozen=True)
class BADMM(UnrolledSolver):
    r"""Two-block splitting P = S with Kullback-Leibler proximity.

    From log S = log q0 + log p0 and dual Z = 0, with everything divided by
    :math:`\alpha_0` (so that all limits of the coefficients are regular), a
    step is

    .. math::
        Y &= \log S + (t X - Z - [S]) / \rho, \qquad r_d = \mathrm{LSE}_n Y \\
        \log P &= Y - r + (1 - s_p) r + s_p \log p_0, \qquad
        s_p = \frac{r_p}{\rho (1 - r_p) + r_p} \\
        Y &= (Z + \rho \log P) / (1 + \rho) \;[\text{or } \log P + (Z - P)/\rho],
        \qquad c_n = \mathrm{LSE}_d Y \\
        \log S &= Y - c + (1 - s_q) c + s_q \log q_0, \qquad
        s_q = \frac{r_q}{w (1 - r_q) + r_q}, \; w = 1 + \rho \;[\rho] \\
        Z &\leftarrow Z + \rho (P - S)

    where brackets belong to the quadratic regulariser, and P and S are divided
    by their mass. The marginal terms are folded into the two subproblems in
    closed form (`"Bregman Alternating Direction Method of Multipliers"
    <https://arxiv.org/abs/1306.3203>`_). The output is that of P.

    The residual is the larger of the total variation between P and S and of
    that between S and the S before it.

    Args:
        num_steps (int): K. (default: :obj:`4`)
        regularizer (Regularizer): :class:`Entropy` or :class:`Quadratic`.
            (default: entropy)
    """

    regularizer: Regularizer = field(default_factory=Entropy)

    def rows(self, channels: int, normalize: bool) -> dict[str, slice]:
        steps = slice(self.num_steps)
        before = slice(self.num_steps - 1)
        channel_steps = before if normalize else steps
        return {
            "t": steps,
            "r_p": slice(0) if channels == 1 else channel_steps,
            "r_q": before,
            "rho": steps,
        }

    def solve(self, problem: Problem, ring: Semiring) -> Solution:
        if problem.coefficients.rho is None:
            raise ValueError("BADMM needs coefficients with 'rho' (got none)")
        if ring is LOG_SUM_EXP and takes(problem):
            pooled = pool_natively(
                ops.BADMM, problem, self.num_steps, self.regularizer.quadratic
            )
            return with_portable(
                pooled, problem, lambda p: self._solve_portably(p, LOG_SUM_EXP)
            )
        if ring is MAX_PLUS:
            # Rounding would tie and part nodes; Sinkhorn's scores stay as they are.
            problem = problem.double()
        return self._solve_portably(problem.explicit(), ring)

    def _solve_portably(self, problem: Problem, ring: Semiring) -> Solution:
        state = _start(problem, ring)
        last = self.num_steps - 1
        for k in range(last):
            state = self._step_p(problem, ring, k, state)
            state = self._step_s(problem, ring, k, state)
        state = self._step_p(problem, ring, last, state)

        def residual() -> Tensor:
            after = self._step_s(problem, ring, last, state)
            return _residual(problem, ring, state, after)

        return Solution(
            pooled=ring.mean(state.log_p, problem.values, problem.segments).flatten(1),
            segments=problem.segments,
            heads=problem.scores.size(1),
            make_plan=lambda: _plan(problem, ring, state),
            make_residual=residual,
        )

    def _step_p(self, problem: Problem, ring: Semiring, k: int, state: State) -> State:
        step = problem.coefficients.step(k)
        rho = _penalty(step)
        pull = self.regularizer.pull(state.dual, state.s)
        scores = ring.scores(problem.scores, problem.at_nodes(step.t)) - pull
        y = state.log_s + scores / problem.at_nodes(rho).unsqueeze(-1)
        s_p = problem.at_sets(_share(step.r_p, rho)).unsqueeze(-1)
        r = ring.nodes(y, problem.segments)
        shift = s_p * (ring.prior(problem.channel_prior) - r)
        log_p = _normalise(y + problem.segments.gather(shift), ring, problem)
        return replace(state, log_p=log_p)

    def _step_s(self, problem: Problem, ring: Semiring, k: int, state: State) -> State:
        step = problem.coefficients.step(k)
        rho = _penalty(step)
        share = _share(step.r_q, self.regularizer.weight(rho))
        rho, s_q = (problem.at_nodes(row).unsqueeze(-1) for row in (rho, share))
        p = ring.mass(state.log_p)
        # Finite where nodes are left out, for a product with their -inf is NaN.
        log_p = _fill_absent(state.log_p, problem, 0)
        y = self.regularizer.kernel(log_p, state.dual, p, rho)
        prior = ring.prior(problem.node_prior).unsqueeze(-1)
        y = y + s_q * (prior - ring.channels(y).unsqueeze(-1))
        log_s = _normalise(_fill_absent(y, problem, -torch.inf), ring, problem)
        s = ring.mass(log_s)
        return State(state.log_p, log_s, s, state.dual + rho * (p - s))


def _penalty(step: Coefficients) -> Tensor:
    assert step.rho is not None
    return step.rho


def _share(fidelity: Tensor, weight: Tensor) -> Tensor:
    """alpha / (weight + alpha), both relative to alpha0."""
    return fidelity / (weight * (1 - fidelity) + fidelity)


def _start(problem: Problem, ring: Semiring) -> State:
    priors = ring.prior(problem.node_prior).unsqueeze(-1) + ring.prior(
        problem.channel_prior
    )
    log_s = _fill_absent(priors.expand_as(problem.scores), problem, -torch.inf)
    dual = torch.zeros_like(problem.scores)
    return State(log_p=log_s, log_s=log_s, s=ring.mass(log_s), dual=dual)


def _fill_absent(x: Tensor, problem: Problem, value: float) -> Tensor:
    """Overwrite x [N, H, C] at the nodes that are left out."""
    if problem.absent is None:
        return x
    return x.masked_fill(problem.absent.unsqueeze(-1), value)


def _normalise(log_mass: Tensor, ring: Semiring, problem: Problem) -> Tensor:
    total = ring.channels(ring.nodes(log_mass, problem.segments))
    return log_mass - problem.segments.gather(total).unsqueeze(-1)


def _plan(problem: Problem, ring: Semiring, state: State) -> Tensor:
    log_p = ring.nodes(state.log_p, problem.segments)
    shares = ring.shares(log_p, problem.channel_prior)
    weights = ring.weights(state.log_p, problem.segments)
    return (problem.segments.gather(shares) * weights).flatten(1)


def _residual(problem: Problem, ring: Semiring, before: State, after: State) -> Tensor:
    p, s, s_before = (
        ring.plan(log_mass, problem.segments)
        for log_mass in (after.log_p, after.log_s, before.log_s)
    )
    split, moved = (p - s).abs().sum(-1), (s - s_before).abs().sum(-1)
    sums = problem.segments.sum(torch.stack([split, moved], -1))
    return sums.amax(-1) / 2


def _pool_portably(
    scores: Tensor,
    values: Tensor | None,
    ptr: Tensor,
    order: Tensor | None,
    t: Tensor,
    r_p: Tensor,
    r_q: Tensor,
    rho: Tensor,
    log_p0: Tensor | None,
    log_q0: Tensor | None,
    num_steps: int,
    gain: float,
    ceiling: float,
    quadratic: bool,
) -> Tensor:
    """The native operator, on its own arguments, by PyTorch's operators.

    The priors, which are where S starts, are normalised already.
    """
    segments = Segments.from_places(ptr, order, scores.size(0))
    coefficients = as_given(Coefficients(t, r_p, r_q, rho), gain, ceiling)
    values = scores if values is None else values
    problem = Problem(scores, segments, coefficients, values, log_p0, log_q0)
    solver = BADMM(num_steps, Quadratic() if quadratic else Entropy())
    solution = solver._solve_portably(problem.explicit(), LOG_SUM_EXP)
    return solution.pooled.view(-1, *scores.shape[1:])


ops.register(ops.BADMM, _pool_portably)
