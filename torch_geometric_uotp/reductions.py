r"""The two ways to reduce rows that share a set: the only file that scatters.

Both reduce ``x`` of shape [N, ...] to [G, ...] along the first axis, and gather
back. They must agree, and the tests run the solvers on both.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor


class Reduction(Protocol):
    """Sums and maxima over the rows of each set."""

    def sum(self, x: Tensor) -> Tensor:
        """Return [G, ...]; an empty set sums to 0."""

    def max(self, x: Tensor) -> Tensor:
        """Return [G, ...]; an empty set has the maximum -inf."""

    def gather(self, x: Tensor) -> Tensor:
        """Give each row that of its set: [G, ...] to [N, ...]."""


@dataclass(frozen=True)
class ScatterReduction:
    """Reduce by index with PyTorch's own scatter operators, rows in any order.

    Args:
        index (torch.Tensor): The set of each row, int64 of shape [N].
        num_sets (int): G.
    """

    index: Tensor
    num_sets: int

    def sum(self, x: Tensor) -> Tensor:
        zeros = x.new_zeros(self.num_sets, *x.shape[1:])
        return zeros.index_add(0, self.index, x)

    def max(self, x: Tensor) -> Tensor:
        # Filling with -inf, not with zeros and include_self=False: the latter
        # counts the fill among the ties when the maximum is 0.
        lowest = x.new_full((self.num_sets, *x.shape[1:]), -torch.inf)
        index = self.index.view(-1, *[1] * (x.dim() - 1)).expand_as(x)
        return lowest.scatter_reduce(0, index, x, "amax")

    def gather(self, x: Tensor) -> Tensor:
        return x.index_select(0, self.index)


@dataclass(frozen=True)
class CSRReduction:
    """Reduce contiguous rows with torch-scatter: no atomics, so deterministic.

    The gradient of a sum is a gather, that of a gather a sum, as often as it is
    differentiated. Compilers and transforms know neither.

    Args:
        index (torch.Tensor): The set of each row, int64 of shape [N].
        ptr (torch.Tensor): Set g owns the rows ptr[g] to ptr[g + 1], int64 of
            shape [G + 1].
    """

    index: Tensor
    ptr: Tensor

    def sum(self, x: Tensor) -> Tensor:
        total: Tensor = SumOfRows.apply(x, self.index, self.ptr)  # type: ignore[no-untyped-call]
        return total

    def gather(self, x: Tensor) -> Tensor:
        rows: Tensor = RowsOfSets.apply(x, self.index, self.ptr)  # type: ignore[no-untyped-call]
        return rows

    def max(self, x: Tensor) -> Tensor:
        import torch_scatter

        maximum: Tensor = torch_scatter.segment_csr(x, self.ptr, reduce="max")
        empty = (self.ptr.diff() == 0).view(-1, *[1] * (x.dim() - 1))
        return maximum.masked_fill(empty, -torch.inf)


class SumOfRows(torch.autograd.Function):
    """Rows of each set, added up."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, ptr: Tensor) -> Tensor:
        import torch_scatter

        ctx.save_for_backward(index, ptr)
        total: Tensor = torch_scatter.segment_csr(x, ptr, reduce="sum")
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return RowsOfSets.apply(grad, *ctx.saved_tensors), None, None  # type: ignore[no-untyped-call]


class RowsOfSets(torch.autograd.Function):
    """The row of its set for each row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, ptr: Tensor) -> Tensor:
        ctx.save_for_backward(index, ptr)
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return SumOfRows.apply(grad, *ctx.saved_tensors), None, None  # type: ignore[no-untyped-call]


@cache
def has_torch_scatter() -> bool:
    """Whether torch-scatter is installed."""
    return importlib.util.find_spec("torch_scatter") is not None
