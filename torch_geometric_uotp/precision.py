r"""Computing in a wider type than that of the input."""

from typing import Any

import torch
from torch import Tensor


class Promote(torch.autograd.Function):
    """Convert to a wider type; on the way back, saturate instead of overflowing.

    At extreme coefficients and features a finite gradient can lie beyond the
    range of float16. As an infinity it would wipe out the whole model.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.dtype = x.dtype
        return x.to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        largest = torch.finfo(ctx.dtype).max
        return grad.clamp(-largest, largest).to(ctx.dtype), None


def promote(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert ``x`` to a type at least as wide, and leave it alone if it is."""
    if x.dtype == dtype:
        return x
    return Promote.apply(x, dtype)  # type: ignore[no-any-return, no-untyped-call]
