r"""The two ways to reduce rows that share a set: the only file that scatters.

Both reduce ``x`` of shape [N, ...] to [G, ...] along the first axis. They must
agree, and the tests run the solvers on both.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import torch
from torch import Tensor


class Reduction(Protocol):
    """Sums and maxima over the rows of each set."""

    def sum(self, x: Tensor) -> Tensor:
        """Return [G, ...]; an empty set sums to 0."""

    def max(self, x: Tensor) -> Tensor:
        """Return [G, ...]; an empty set has the maximum -inf."""


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


@dataclass(frozen=True)
class CSRReduction:
    """Reduce contiguous rows with torch-scatter: no atomics, so deterministic.

    Args:
        ptr (torch.Tensor): Set g owns the rows ptr[g] to ptr[g + 1], int64 of
            shape [G + 1].
    """

    ptr: Tensor

    def sum(self, x: Tensor) -> Tensor:
        import torch_scatter

        total: Tensor = torch_scatter.segment_csr(x, self.ptr, reduce="sum")
        return total

    def max(self, x: Tensor) -> Tensor:
        import torch_scatter

        maximum: Tensor = torch_scatter.segment_csr(x, self.ptr, reduce="max")
        empty = (self.ptr.diff() == 0).view(-1, *[1] * (x.dim() - 1))
        return maximum.masked_fill(empty, -torch.inf)


@cache
def has_torch_scatter() -> bool:
    """Whether torch-scatter is installed."""
    return importlib.util.find_spec("torch_scatter") is not None
