r"""The derivatives of a fixed point, without those of the steps that led to it."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.problem import Problem
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.semiring import LOG_SUM_EXP, MAX_PLUS, Semiring
from torch_geometric_uotp.solvers.newton import AnnealedNewton
from torch_geometric_uotp.solvers.schur import SchurComplement
from torch_geometric_uotp.solvers.sinkhorn import half_range, node_potential, step

# The adjoint is solved this much more accurately than the problem was.
FINER = 0.1
FINEST = 1e-14


def differentiable(problem: Problem, b: Tensor, tol: float, max_steps: int) -> Tensor:
    """Give the node potentials of an explicit problem their derivatives.

    Args:
        problem (Problem): In double precision.
        b (torch.Tensor): What :func:`converge` found, of shape [N, H].
        tol (float): To what residual.
        max_steps (int): Products with the system at most.

    Returns:
        b. What it is used for must not depend on a constant added to a set.
    """
    at, nodes = problem.coefficients.step(0), problem.scores.shape[:2]
    moved: Tensor = AtFixedPoint.apply(  # type: ignore[no-untyped-call]
        b,
        problem.segments,
        tol,
        max_steps,
        problem.scores,
        *(problem.at_sets(table) for table in (at.t, at.r_p, at.r_q)),
        problem.channel_prior,
        problem.node_prior.expand(nodes),
    )
    return moved


class AtFixedPoint(torch.autograd.Function):
    r"""b as a function of the problem: b = T(b) defines it, and its derivatives.

    The gradient of b is multiplied by :math:`(I - \partial T / \partial b)^{-\top}`
    and passed on through one step T, by the formulas of Sinkhorn's adjoint:
    memory does not depend on the steps it took to find b, nor does time. Second
    derivatives differentiate the formulas.
    """

    @staticmethod
    def forward(
        ctx: Any,
        b: Tensor,
        segments: Segments,
        tol: float,
        max_steps: int,
        *tables: Tensor,
    ) -> Tensor:
        b = b.clone()
        ctx.segments, ctx.tol, ctx.max_steps = segments, tol, max_steps
        ctx.save_for_backward(b, *tables)
        return b

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        b, x, t, r_p, r_q, log_p0, log_q0 = ctx.saved_tensors
        segments: Segments = ctx.segments
        gather = segments.gather
        z = x * gather(t).unsqueeze(-1)
        zb = z + b.unsqueeze(-1)
        over_nodes = LOG_SUM_EXP.nodes(zb, segments)
        a = r_p.unsqueeze(-1) * (log_p0 - over_nodes)
        za = z + gather(a)
        over_channels = za.logsumexp(-1)
        u, v = (za - over_channels.unsqueeze(-1)).exp(), (zb - gather(over_nodes)).exp()
        q = segments.shifted_exp(b + over_channels)
        d_b: Tensor = Adjoint.apply(  # type: ignore[no-untyped-call]
            grad, u, q, r_p * r_q, segments, ctx.tol, ctx.max_steps
        )
        from_u = -(gather(r_q) * d_b).unsqueeze(-1) * u
        d_a = segments.sum(from_u)
        d_z = from_u - gather(r_p.unsqueeze(-1) * d_a) * v
        return (
            *(None,) * 4,
            d_z * gather(t).unsqueeze(-1),
            segments.sum((d_z * x).sum(-1)),
            (d_a * (log_p0 - over_nodes)).sum(-1),
            segments.sum(d_b * (log_q0 - over_channels)),
            (d_a * r_p.unsqueeze(-1)).sum(0),
            d_b * gather(r_q),
        )


class Adjoint(torch.autograd.Function):
    r"""w = y + Jᵀ w with :math:`J = r U V^\top`, and its gradient.

    With V = P diag(1/p) it is w = y + r q (U v) for S v = Uᵀ y; see
    :class:`SchurComplement`. Gradients y of b sum to 0 over a set.
    """

    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        u: Tensor,
        q: Tensor,
        r: Tensor,
        segments: Segments,
        tol: float,
        max_steps: int,
    ) -> Tensor:
        system = SchurComplement(u, q, r, segments)
        right = segments.sum(u * y.unsqueeze(-1))
        v = solve(u, q, r, segments.index, segments.ptr, right, tol, max_steps)
        w = y + segments.gather(r) * q * system.to_nodes(v)
        ctx.segments, ctx.tol, ctx.max_steps = segments, tol, max_steps
        ctx.save_for_backward(u, q, r, w)
        return w

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        u, q, r, w = ctx.saved_tensors
        segments: Segments = ctx.segments
        system = SchurComplement(u, q, r, segments)
        # Along constants the system may be singular, and w never moves.
        mean = segments.sum(q * grad) / segments.fill_empty(segments.sum(q), 1)
        grad = grad - segments.gather(mean)
        right = system.to_channels(grad)
        v = solve(u, q, r, segments.index, segments.ptr, right, ctx.tol, ctx.max_steps)
        h = grad + segments.gather(r) * system.to_nodes(v)
        with torch.enable_grad():
            u, q, r = (x.detach().requires_grad_() for x in (u, q, r))
            back = _transposed(SchurComplement(u, q, r, segments), w)
            grads = torch.autograd.grad(back, (u, q, r), h)
        return h, *grads, None, None, None


def _transposed(system: SchurComplement, w: Tensor) -> Tensor:
    """Jᵀ w."""
    share = system.scaled(system.segments.sum(system.u * w.unsqueeze(-1)))
    return system.segments.gather(system.r) * system.q * system.to_nodes(share)


# ---- operators: what loops until numbers say otherwise, compilers call


@torch.library.custom_op("uotp_portable::converge", mutates_args=())
def converge(
    index: Tensor,
    ptr: Tensor | None,
    num_sets: int,
    scores: Tensor,
    t: Tensor,
    r_p: Tensor,
    r_q: Tensor,
    log_p0: Tensor,
    log_q0: Tensor,
    tol: float,
    max_steps: int,
    hard: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Node potentials [N, H], and for each set [G, H] whether they solve, and passes.

    Those of infinite t for the heads ``hard``, bool of shape [H], if they are given.
    """
    segments = _segments(index, ptr, num_sets)
    problem = _pack(segments, scores, t, r_p, r_q, log_p0, log_q0)
    if hard is not None:
        return take_plain_steps(problem, MAX_PLUS, tol, max_steps, hard)
    return AnnealedNewton(problem, tol, max_steps).solve()


@converge.register_fake
def _(
    index: Tensor, ptr: Tensor | None, num_sets: int, scores: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    nodes, heads = scores.shape[:2]
    steps = scores.new_empty(num_sets, heads, dtype=torch.long)
    return scores.new_empty(nodes, heads), steps.bool(), steps


@torch.library.custom_op("uotp_portable::solve", mutates_args=())
def solve(
    u: Tensor,
    q: Tensor,
    r: Tensor,
    index: Tensor,
    ptr: Tensor | None,
    right: Tensor,
    tol: float,
    max_steps: int,
) -> Tensor:
    """See :meth:`SchurComplement.solve`; r, of shape [G, H], says how many sets."""
    system = SchurComplement(u, q, r, _segments(index, ptr, r.size(0)))
    accuracy = torch.full_like(r, max(FINER * tol, FINEST))
    limit = torch.full_like(r, max_steps, dtype=torch.long)
    return system.solve(right, accuracy, limit, torch.ones_like(r, dtype=torch.bool))[0]


@solve.register_fake
def _(u: Tensor, q: Tensor, r: Tensor, *rest: Any) -> Tensor:
    return u.new_empty(r.size(0), *u.shape[1:])


def take_plain_steps(
    problem: Problem,
    ring: Semiring,
    tol: float,
    max_steps: int,
    heads: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """What :func:`converge` returns, by Sinkhorn's own steps, in either arithmetic.

    Heads that are not among those given count as solved.
    """

    def look(b: Tensor) -> tuple[Tensor, Tensor]:
        after = step(problem, ring, 0, b)
        solved = ~(half_range(problem, b - after) >= tol)
        return after, solved if heads is None else solved | ~heads

    b = node_potential(problem, ring, 0, None)
    after, solved = look(b)
    steps = torch.ones_like(solved, dtype=torch.long)
    for _ in range(max_steps - 1):
        if bool(solved.all()):
            break
        b = torch.where(problem.segments.gather(solved), b, after)
        steps = steps + ~solved
        after, solved = look(b)
    return b, solved, steps


def _segments(index: Tensor, ptr: Tensor | None, num_sets: int) -> Segments:
    if ptr is not None:
        return Segments.from_ptr(ptr, index.numel())
    return Segments.from_index(index, num_sets)


def unpack(problem: Problem) -> tuple[Any, ...]:
    """An explicit problem as arguments of :func:`converge`."""
    segments, at = problem.segments, problem.coefficients.step(0)
    tables = (at.t, at.r_p, at.r_q, problem.channel_prior, problem.stated_node_prior)
    return segments.index, segments.ptr, segments.num_sets, problem.scores, *tables


def _pack(
    segments: Segments,
    scores: Tensor,
    t: Tensor,
    r_p: Tensor,
    r_q: Tensor,
    log_p0: Tensor,
    log_q0: Tensor,
) -> Problem:
    rows = Coefficients(t.unsqueeze(0), r_p.unsqueeze(0), r_q.unsqueeze(0))
    return Problem(scores, segments, rows, scores, log_p0, log_q0).explicit()
