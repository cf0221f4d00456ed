r"""Gradients of what all sets share: no set spoils them for the others."""

import math
from typing import Any

import torch
from torch import Tensor

from torch_geometric_uotp.transforms import functionalized, transformed

# Nodes whose limited gradients can be added up. An integer: see projection.py.
NODES = 2**20


def bounded(grad: Tensor) -> Tensor:
    """Replace what is no number by 0, and limit the size of the rest.

    Features beyond the root of the largest number, or NaN, give such gradients. In a
    sum over sets one of them would be the gradient of all.
    """
    most = _largest(grad.dtype)
    return grad.nan_to_num(0.0, most, -most).clamp(-most, most)


def _largest(dtype: torch.dtype) -> float:
    """A number whose square, which optimisers keep, is finite."""
    if dtype == torch.float64:
        return 2.0**500
    return min(2.0**60, torch.finfo(dtype).max)


def limited(x: Tensor) -> Tensor:
    """Features to multiply weights with that all sets share.

    NaN counts as 0, and a size beyond the root of the largest number, over 2^14 so that
    sums of squares stay finite too, as that: about 1e15 in float32.
    """
    largest = math.sqrt(torch.finfo(x.dtype).max) / 2**14
    return x.nan_to_num(0.0, largest, -largest).clamp(-largest, largest)


class Spread(torch.autograd.Function):
    """Repeat a row [H] to [size, H]; its gradient sums up :func:`bounded` ones."""

    @staticmethod
    def forward(ctx: Any, row: Tensor, size: int) -> Tensor:
        return row.repeat(size, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        grad = bounded(grad)
        if grad.size(1) == 1:
            # PyTorch divides a sum among threads, and so rounds it differently, only
            # if it has a single result.
            return torch.cat([grad, grad], 1).sum(0)[:1], None
        return grad.sum(0), None


class SpreadTransformed(torch.autograd.Function):
    """The same for :mod:`torch.func`: slower to call, and no matter for compilers."""

    generate_vmap_rule = True
    backward = staticmethod(Spread.backward)

    @staticmethod
    def forward(row: Tensor, size: int) -> Tensor:
        return row.repeat(size, 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.size = inputs[1]

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        return tangent.repeat(ctx.size, 1)


class BoundGradient(torch.autograd.Function):
    """x itself, whose gradient is limited further than :func:`bounded` does."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        most = _largest(grad.dtype) / NODES
        return bounded(grad).clamp(-most, most)


class BoundGradientTransformed(torch.autograd.Function):
    """The same for :mod:`torch.func`: slower to call, and no matter for compilers."""

    generate_vmap_rule = True
    backward = staticmethod(BoundGradient.backward)

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return tangent.clone()


def bound_gradient(x: Tensor) -> Tensor:
    """x, of which no node's gradient spoils weights that all share.

    It is so limited that a sum over 2^20 nodes still has a finite square.
    """
    if transformed() and functionalized(x):
        return x
    function = BoundGradientTransformed if transformed() else BoundGradient
    return function.apply(x)  # type: ignore[no-any-return, no-untyped-call]


def spread(row: Tensor, size: int) -> Tensor:
    """Repeat a row [H] to [size, H], with the same gradient for any threads.

    What one of the ``size`` rows contributes to the gradient is :func:`bounded`.
    """
    if transformed() and functionalized(row):
        return row.repeat(size, 1)
    function = SpreadTransformed if transformed() else Spread
    return function.apply(row, size)  # type: ignore[no-any-return, no-untyped-call]
