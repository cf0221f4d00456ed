r"""The layout of a ragged batch, and what is computed over its sets."""

from dataclasses import dataclass

import torch
from torch import Tensor

from torch_geometric_uotp.arguments import (
    check_device,
    check_integer,
    check_integers,
)
from torch_geometric_uotp.reductions import (
    CSRReduction,
    Reduction,
    ScatterReduction,
    has_torch_scatter,
)
from torch_geometric_uotp.transforms import traced, values_known

# The boundaries of more sets would be too many bytes to count.
MOST_SETS = 2**59


@dataclass(frozen=True)
class Segments:
    r"""Which of G sets each of N nodes belongs to.

    Nodes need not be sorted by set, sets may be empty, and there may be no
    nodes at all. Build it with :meth:`from_index` or :meth:`from_ptr`, which
    check what they are given before any memory is read through it.

    Args:
        index (torch.Tensor): The set of each node, int64 of shape [N].
        num_sets (int): G.
        reduction (Reduction): How rows of one set are reduced.
        ptr (torch.Tensor, optional): The boundaries of the sets, int64 of shape
            [G + 1], where nodes are known to be sorted by set.
    """

    index: Tensor
    num_sets: int
    reduction: Reduction
    ptr: Tensor | None = None

    @classmethod
    def from_index(cls, index: Tensor, num_sets: int) -> "Segments":
        """Lay out nodes by their set, in any order.

        Args:
            index (torch.Tensor): The set of each node, integers of shape [N].
            num_sets (int): G.

        Raises:
            ValueError: If ``index`` is not a vector of integers in [0, G).
        """
        check_integers("index", index)
        if index.numel() > 0 and values_known(index):
            low, high = (int(bound) for bound in index.aminmax())
            if low < 0 or high >= num_sets:
                raise ValueError(
                    f"'index' must lie in [0, {num_sets}), the number of sets "
                    f"(got values from {low} to {high})"
                )
        index = index.long()
        return cls(index, num_sets, ScatterReduction(index, num_sets))

    @classmethod
    def from_ptr(cls, ptr: Tensor, num_nodes: int) -> "Segments":
        """Lay out contiguous nodes by the boundaries of their sets.

        Args:
            ptr (torch.Tensor): Set g owns the nodes ptr[g] to ptr[g + 1],
                integers of shape [G + 1].
            num_nodes (int): N.

        Raises:
            ValueError: If ``ptr`` is not a vector of integers that starts at
                0, never decreases and ends at N.
        """
        _check_ptr(ptr)
        _check_boundaries(ptr, num_nodes)
        ptr = ptr.long()
        counts, num_sets = ptr.diff(), ptr.numel() - 1
        sets = torch.arange(num_sets, device=ptr.device)
        index = sets.repeat_interleave(counts, output_size=num_nodes)
        # On a CPU torch-scatter is the slower of the two.
        reduction: Reduction = (
            CSRReduction(index, ptr)
            if ptr.is_cuda and has_torch_scatter() and values_known(ptr)
            else ScatterReduction(index, num_sets)
        )
        return cls(index, num_sets, reduction, ptr)

    @classmethod
    def from_places(
        cls, ptr: Tensor, order: Tensor | None, num_nodes: int
    ) -> "Segments":
        """Lay out nodes that a permutation brings into contiguous sets.

        Args:
            ptr (torch.Tensor): See :meth:`from_ptr`.
            order (torch.Tensor, optional): The node at each place, int64 of
                shape [N]. (default: nodes in place)
            num_nodes (int): N.
        """
        segments = cls.from_ptr(ptr, num_nodes)
        if order is None:
            return segments
        index = torch.empty_like(order).scatter(0, order, segments.index)
        return cls.from_index(index, segments.num_sets)

    @classmethod
    def build(
        cls,
        num_nodes: int,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        num_sets: int | None = None,
        device: torch.device | None = None,
    ) -> "Segments":
        """Lay out nodes as PyTorch Geometric describes them.

        Args:
            num_nodes (int): N.
            index (torch.Tensor, optional): See :meth:`from_index`.
            ptr (torch.Tensor, optional): See :meth:`from_ptr`. Without it and
                ``index`` all nodes form one set.
            num_sets (int, optional): G. (default: as many as are described)
            device (torch.device, optional): Where the nodes are. (default: where
                they are described)

        Raises:
            ValueError: If the description contradicts itself or ``num_nodes``, or
                is on another device.
        """
        check_sets(index, ptr, num_sets, device)
        if index is not None and index.numel() != num_nodes:
            raise ValueError(
                f"'index' must hold one set for each of {num_nodes} nodes (got "
                f"{index.numel()})"
            )
        if ptr is not None:
            segments = cls.from_ptr(ptr, num_nodes)
            _check_agreement(segments, index, num_sets)
            return segments
        if index is None:
            index = torch.zeros(num_nodes, dtype=torch.long, device=device)
            num_sets = 1 if num_sets is None else num_sets
        if num_sets is None:
            num_sets = int(index.max()) + 1 if num_nodes > 0 else 0
        return cls.from_index(index, num_sets)

    @property
    def num_nodes(self) -> int:
        """N."""
        return self.index.numel()

    @property
    def counts(self) -> Tensor:
        """The nodes of each set, int64 of shape [G]."""
        if self.ptr is not None:
            return self.ptr.diff()
        return self.reduction.sum(torch.ones_like(self.index))

    def places(self) -> tuple[Tensor, Tensor | None]:
        """Boundaries [G + 1] of the sorted batch, and the node [N] at each place.

        Nodes known to be sorted need no places; see :meth:`from_places`.
        """
        if self.ptr is not None:
            return self.ptr, None
        ends = self.counts.cumsum(0)
        return torch.cat([ends.new_zeros(1), ends]), self.index.argsort(stable=True)

    def gather(self, x: Tensor) -> Tensor:
        """Give each node its set's row: [G, ...] to [N, ...]."""
        return self.reduction.gather(x)

    def sum(self, x: Tensor) -> Tensor:
        """Sum over each set: [N, ...] to [G, ...], 0 for an empty set."""
        return self.reduction.sum(x)

    def max(self, x: Tensor) -> Tensor:
        """Maximum over each set, without gradient; -inf for an empty set."""
        return self.reduction.max(x.detach())

    def shifted_exp(self, x: Tensor) -> Tensor:
        """exp(x) divided by its maximum over each set, so that it is 1 at most.

        -inf gives 0, in a set that holds nothing else too. The maximum carries no
        gradient.
        """
        return (x - self.gather(self._shift(x))).exp()

    def _shift(self, x: Tensor) -> Tensor:
        shift = self.max(x)
        return shift.masked_fill(shift == -torch.inf, 0)

    def logsumexp(self, x: Tensor) -> Tensor:
        """Log of the summed exponentials over each set: [N, ...] to [G, ...].

        An empty set, and one that holds only -inf, gives -inf, its gradient
        being 0. The maximum is a constant shift: it carries no gradient.
        """
        shift = self._shift(x)
        total = self.sum((x - self.gather(shift)).exp())
        vanished = total == 0
        result = total.masked_fill(vanished, 1).log() + shift
        return result.masked_fill(vanished, -torch.inf)

    def fill_empty(self, x: Tensor, value: float) -> Tensor:
        """Overwrite the rows of empty sets in ``x`` of shape [G, ...]."""
        empty = (self.counts == 0).view(-1, *[1] * (x.dim() - 1))
        return x.masked_fill(empty, value)


def check_sets(
    index: Tensor | None,
    ptr: Tensor | None,
    num_sets: int | None,
    device: torch.device | None = None,
) -> None:
    """Check the kind of what describes sets, without a look at any value.

    Args:
        index (torch.Tensor, optional): See :meth:`Segments.from_index`.
        ptr (torch.Tensor, optional): See :meth:`Segments.from_ptr`.
        num_sets (int, optional): G.
        device (torch.device, optional): Where the nodes are.

    Raises:
        ValueError: If something is of another kind or on another device, or if G
            is negative, or not to be told from tensors without values.
    """
    if index is not None:
        check_integers("index", index)
    if ptr is not None:
        _check_ptr(ptr)
    for name, given in (("index", index), ("ptr", ptr)):
        if given is not None and device is not None:
            check_device(name, given, "x", device)
    if num_sets is not None:
        check_integer("dim_size", num_sets)
        _check_number_of_sets(num_sets)
    elif index is not None and ptr is None and index.is_meta:
        raise ValueError("an 'index' on meta holds no values: 'dim_size' must be given")


def _check_ptr(ptr: Tensor) -> None:
    check_integers("ptr", ptr)
    if ptr.numel() == 0:
        raise ValueError("'ptr' must hold at least one boundary, 0 (got none)")


def _check_number_of_sets(num_sets: int) -> None:
    # A compiler may not know it, where it stems from what a tensor holds.
    if torch.compiler.is_compiling():
        return
    if num_sets < 0:
        raise ValueError(f"'dim_size' must not be negative (got {num_sets})")
    if num_sets >= MOST_SETS:
        raise ValueError(f"'dim_size' must be below {MOST_SETS} (got {num_sets})")


def _check_boundaries(ptr: Tensor, num_nodes: int) -> None:
    if torch.compiler.is_compiling() or traced(ptr):
        return
    first, last = int(ptr[0]), int(ptr[-1])
    if first != 0:
        raise ValueError(f"'ptr' must start at 0 (got {first})")
    decreases = ptr[1:] < ptr[:-1]
    if bool(decreases.any()):
        place = int(decreases.int().argmax())
        before, after = ptr[place : place + 2].tolist()
        raise ValueError(
            f"'ptr' must not decrease (got {after} after {before}, at {place + 1})"
        )
    if last != num_nodes:
        raise ValueError(
            f"'ptr' must end at the number of nodes, {num_nodes} (got {last})"
        )


def _check_agreement(
    segments: Segments, index: Tensor | None, num_sets: int | None
) -> None:
    if num_sets is not None and num_sets != segments.num_sets:
        raise ValueError(
            f"'dim_size' must be the number of sets in 'ptr', "
            f"{segments.num_sets} (got {num_sets})"
        )
    if index is None:
        return
    if values_known(index, segments.index) and not torch.equal(
        index.long(), segments.index
    ):
        raise ValueError(
            "'index' and 'ptr' describe different sets; give one of them, or "
            "nodes sorted by set"
        )
