r"""Sinkhorn's fixed point, solved to a tolerance."""

import inspect
import warnings
from dataclasses import dataclass, replace
from types import FrameType

import torch
from torch import Tensor

from torch_geometric_uotp import fixed_point_ops
from torch_geometric_uotp.arguments import check_count, check_positive
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.precision import promote
from torch_geometric_uotp.problem import Problem, Solution
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.semiring import LOG_SUM_EXP, Semiring
from torch_geometric_uotp.solvers import implicit
from torch_geometric_uotp.solvers.base import Solver
from torch_geometric_uotp.solvers.native import takes
from torch_geometric_uotp.solvers.sinkhorn import logits, plan, residual
from torch_geometric_uotp.transforms import torch_alone, values_known

# Whose lines no warning points at.
LIBRARIES = ("torch", "torch_geometric", "torch_geometric_uotp")


@dataclass(frozen=True)
class FixedPoint(Solver):
    r"""The potentials that a :class:`Sinkhorn` step leaves as they are.

    Each set and head is solved by :class:`AnnealedNewton` until its own residual,
    that of :class:`Sinkhorn`, is below a tolerance; none waits for, or depends
    on, another. What is differentiated is the fixed point, not the way to it
    (:mod:`torch_geometric_uotp.solvers.implicit`): memory and gradients do not
    depend on the steps, and second derivatives are there too. At the tolerance
    the error of the pooled value and of gradients has its size.

    Everything is computed in double precision, whatever the type of the scores:
    potentials have the size of :math:`t |x|`, and single precision would round
    them by more than the tolerance. At infinite t plain steps are taken.

    Where ``max_steps`` do not suffice, the last potentials are taken for the
    fixed point, and a warning says so. It names the line that called the layer:
    Python shows it once for each such line, unless its filters say otherwise.

    Args:
        tol (float): The residual below which a set is solved. (default: ``1e-6``)
        max_steps (int): Passes over a set at most, each both updates of Sinkhorn
            or a product of the same cost, and as many for the gradient.
            (default: :obj:`1000`)

    Raises:
        ValueError: If ``tol`` is not positive or ``max_steps`` not a positive
            integer, on a problem whose coefficients differ from step to step, or
            within a transform of :mod:`torch.func`.
    """

    tol: float = 1e-6
    max_steps: int = 1000

    def __post_init__(self) -> None:
        check_positive("tol", self.tol)
        check_count("max_steps", self.max_steps)

    def __str__(self) -> str:
        return f"sinkhorn, tol={self.tol:g}, max_steps={self.max_steps}"

    @property
    def table_rows(self) -> int:
        return 1

    def rows(self, channels: int, normalize: bool) -> dict[str, slice]:
        # The potential of a single channel is a constant, which cancels.
        one = slice(1)
        return {"t": one, "r_p": slice(0) if channels == 1 else one, "r_q": one}

    def solve(self, problem: Problem, ring: Semiring) -> Solution:
        if torch_alone():
            raise ValueError(
                f"torch.func and forward-mode differentiation need 'num_steps' (got "
                f"tol={self.tol:g})"
            )
        dtype = torch.promote_types(problem.scores.dtype, torch.float32)
        problem = _in_double(problem)
        if ring is LOG_SUM_EXP and takes(problem):
            pooled, b, solved = self._solve_natively(problem)
        else:
            pooled, b, solved = self._solve_portably(problem, ring)
        self._warn(solved, problem, ring)

        def differentiable() -> Tensor:
            return self._differentiable(problem, ring, b)

        return Solution(
            pooled=pooled.flatten(1),
            segments=problem.segments,
            heads=problem.scores.size(1),
            make_plan=lambda: plan(problem, ring, 0, differentiable()),
            make_residual=lambda: residual(problem, ring, 0, differentiable()),
        ).to(dtype)

    def _solve_natively(self, problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
        heads = problem.scores.size(1)
        pooled, b, solved = fixed_point_ops.solve(
            problem.scores,
            None if problem.values is problem.scores else problem.values,
            problem.segments,
            problem.coefficients.expand_heads(heads),
            problem.channel_prior,
            problem.stated_node_prior.expand(-1, heads),
            self.tol,
            self.max_steps,
            _pool_portably,
        )
        return pooled, problem.leave_out(b), solved

    def _solve_portably(
        self, problem: Problem, ring: Semiring
    ) -> tuple[Tensor, Tensor, Tensor]:
        with torch.no_grad():
            b, solved, _ = implicit.converge(
                *implicit.unpack(problem),
                self.tol,
                self.max_steps,
                None if ring is LOG_SUM_EXP else problem.coefficients.hard,
            )
        z = logits(problem, ring, 0, self._differentiable(problem, ring, b))
        return ring.mean(z, problem.values, problem.segments), b, solved

    def _differentiable(self, problem: Problem, ring: Semiring, b: Tensor) -> Tensor:
        if ring is not LOG_SUM_EXP:
            return b
        return implicit.differentiable(problem, b, self.tol, self.max_steps)

    def _warn(self, solved: Tensor, problem: Problem, ring: Semiring) -> None:
        if not values_known(solved):
            return
        hard = problem.coefficients.hard
        if hard is not None:
            # The other arithmetic gives those heads their values.
            solved = solved | (hard if ring is LOG_SUM_EXP else ~hard)
        if bool(solved.all()):
            return
        warnings.warn(
            f"{self.max_steps} steps were not enough for a residual of {self.tol:g} "
            "in every set: see the residual of solve(), and raise 'max_steps' or 'tol'",
            RuntimeWarning,
            stacklevel=_level_of_caller(),
        )


def _level_of_caller() -> int:
    """The ``stacklevel``, for the function that asks, of the line that called a layer.

    In between lie frames of this package and of the modules' calls.
    """
    frame, level = inspect.currentframe(), 0
    while frame is not None and _package(frame) in LIBRARIES:
        frame, level = frame.f_back, level + 1
    return level


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _in_double(problem: Problem) -> Problem:
    """An explicit problem in double precision."""
    if problem.coefficients.t.size(0) != 1:
        raise ValueError(
            "a fixed point needs coefficients that all steps share (got "
            f"{problem.coefficients.t.size(0)} steps)"
        )
    scores = promote(problem.scores, torch.double)
    shared = problem.values is problem.scores
    coefficients = problem.coefficients.explicit()
    log_p0, log_q0 = problem.log_p0, problem.log_q0
    return replace(
        problem,
        scores=scores,
        values=scores if shared else promote(problem.values, torch.double),
        coefficients=replace(
            coefficients,
            t=coefficients.t.double(),
            r_p=coefficients.r_p.double(),
            r_q=coefficients.r_q.double(),
        ),
        log_p0=None if log_p0 is None else log_p0.double(),
        log_q0=None if log_q0 is None else log_q0.double(),
    ).explicit()


def _pool_portably(
    scores: Tensor,
    values: Tensor | None,
    ptr: Tensor,
    order: Tensor | None,
    t: Tensor,
    r_p: Tensor,
    r_q: Tensor,
    log_p0: Tensor,
    log_q0: Tensor,
    tol: float,
    max_steps: int,
    b: Tensor,
) -> Tensor:
    """What the native operator gives, by PyTorch's operators, from its b."""
    segments = Segments.from_places(ptr, order, scores.size(0))
    values = scores if values is None else values
    rows = Coefficients(t, r_p, r_q)
    problem = Problem(scores, segments, rows, values, log_p0, log_q0).explicit()
    b = problem.leave_out(b)
    b = implicit.differentiable(problem, b, tol, max_steps)
    z = logits(problem, LOG_SUM_EXP, 0, b)
    return LOG_SUM_EXP.mean(z, problem.values, segments)
