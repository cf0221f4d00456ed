r"""From what a layer that learns stores to the coefficients it stands for."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torch_geometric_uotp.bounded import bounded
from torch_geometric_uotp.transforms import functionalized, transformed

# Integers, where autograd functions use them: dynamic shapes make symbols of floats
# outside a function, and torch.compile then fails at the second use.
# An optimiser like Adam moves a parameter by its learning rate a step, whatever
# the gradient. At a rate of 1e-3, coordinates cross [0, 1] in 250 steps.
GAIN = 4
# A learned t or rho stays below this, and rho above its inverse.
LARGEST = 1024
# Where heads of infinite t borrow the gradient of their coefficients: soft
# enough for it not to underflow. t / (1 + t) is exact in floating point.
BORROWED_T = 15.0
UNIT = (0, 1)

Interval = tuple[float, float]


class ProjectToIntervals(torch.autograd.Function):
    r"""Scale tables by ``GAIN`` and clamp each to an interval [low, high].

    At the bounds gradients point inwards. Unlike the gradient of a clamp, which
    vanishes once a value has stepped across a bound, this one always lets it come
    back, and never pushes it further out. All tables pass at once, since what a
    small batch waits for is not arithmetic but calls.
    """

    @staticmethod
    def forward(
        ctx: Any, intervals: tuple[Interval, ...], *tables: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.intervals = intervals
        ctx.save_for_backward(*tables)
        return _clamped(intervals, tables)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        triples = zip(ctx.saved_tensors, grads, ctx.intervals, strict=True)
        return None, *(_inwards(x, grad, *bounds) for x, grad, bounds in triples)


class ProjectTransformed(torch.autograd.Function):
    """The same for :mod:`torch.func`: slower to call, and no matter for compilers."""

    generate_vmap_rule = True
    backward = staticmethod(ProjectToIntervals.backward)

    @staticmethod
    def forward(intervals: tuple[Interval, ...], *tables: Tensor) -> tuple[Tensor, ...]:
        return _clamped(intervals, tables)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        ctx.intervals, *tables = inputs
        ctx.save_for_backward(*tables)
        ctx.save_for_forward(*tables)

    @staticmethod
    def jvp(ctx: Any, _: None, *tangents: Tensor) -> tuple[Tensor, ...]:
        # A step along the tangent is one against a gradient of the other sign.
        triples = zip(ctx.saved_tensors, tangents, ctx.intervals, strict=True)
        return tuple(-_inwards(x, -along, *bounds) for x, along, bounds in triples)


def project(intervals: tuple[Interval, ...], *tables: Tensor) -> tuple[Tensor, ...]:
    """Points from what is stored: see :class:`ProjectToIntervals`."""
    if transformed() and functionalized(*tables):
        return _clamped(intervals, tables)
    function = ProjectTransformed if transformed() else ProjectToIntervals
    return function.apply(intervals, *tables)  # type: ignore[no-any-return, no-untyped-call]


@dataclass(frozen=True)
class Projection:
    r"""Points u of [0, 1], stored as u / ``GAIN``, to coefficients.

    :math:`r_p` and :math:`r_q` are points themselves, and t = u / (1 - u), like
    rho.

    Args:
        ceiling (float): The largest point of t, below 1 where t stays finite.
    """

    ceiling: float

    def __call__(
        self, t: Tensor, r_p: Tensor, r_q: Tensor, rho: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
        """t, r_p, r_q and rho, and which heads have an infinite t, if any may."""
        intervals, tables = [(0.0, self.ceiling), UNIT, UNIT], [t, r_p, r_q]
        if rho is not None:
            intervals.append((1 - sharpest(), sharpest()))
            tables.append(rho)
        u, r_p, r_q, *v = project(tuple(intervals), *tables)
        hard = None
        if self.ceiling == 1:
            u, hard = _borrow(u)
        return odds(u), r_p, r_q, odds(v[0]) if v else None, hard


def sharpest() -> float:
    """The point that stands for ``LARGEST``."""
    return LARGEST / (1 + LARGEST)


def odds(u: Tensor) -> Tensor:
    """What a point stands for."""
    return u / (1 - u)


def _clamped(
    intervals: tuple[Interval, ...], tables: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    pairs = zip(tables, intervals, strict=True)
    return tuple((x * GAIN).clamp(low, high) for x, (low, high) in pairs)


def _inwards(table: Tensor, grad: Tensor, low: float, high: float) -> Tensor:
    x = table * GAIN
    outwards = ((x <= low) & (grad > 0)) | ((x >= high) & (grad < 0))
    return bounded((grad * GAIN).masked_fill(outwards, 0))


def _borrow(u: Tensor) -> tuple[Tensor, Tensor]:
    """Where t is infinite, a finite one with its gradient; and where that is."""
    at_limit = u.detach() >= 1
    borrowed = BORROWED_T / (1 + BORROWED_T) + (u - u.detach())
    return torch.where(at_limit, borrowed, u), at_limit[0]
