r"""Products of the matrices that a ragged batch stacks: one per set and head.

Nodes [N, H, C] stand for a matrix A of shape [n, C] for each set of n nodes and
each head. The two products are each other's adjoints,

.. math::
    \langle M, A^\top B \rangle = \langle A M, B \rangle,

so the gradient of either is made of the two, and so is every further one.

A set is cut into blocks of rows, at places its own size fixes, and blocks of one
size are multiplied at once. Nothing larger than the result is allocated beyond a
constant, and a set's result depends on no other set. Under a transform of
:mod:`torch.func` a product of the size of [N, H, C, C] is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torch_geometric_uotp.precision import outside_autocast
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.transforms import torch_alone

# Rows of a block, and up to how many nodes a set is cut into such blocks.
BLOCKS = ((16, 16), (32, 32), (64, 512), (256, None))
# Numbers that the operands and the result of one batched product may have: few enough
# for a cache to hold them, and for memory that is used again.
WORKSPACE = 2**18


@dataclass(frozen=True)
class Blocks:
    """Blocks of as many rows each.

    Args:
        sets (torch.Tensor): The set of each of B blocks.
        nodes (torch.Tensor): Its nodes, of shape [B, rows]; any node where the
            set has no more.
        filled (torch.Tensor): Where it has, bool of shape [B, rows].
    """

    sets: Tensor
    nodes: Tensor
    filled: Tensor

    def split(self, numbers: int) -> Iterator["Blocks"]:
        """Parts whose blocks, of ``numbers`` numbers each, fit the workspace."""
        size = max(1, WORKSPACE // max(1, numbers))
        for start in range(0, self.sets.numel(), size):
            part = slice(start, start + size)
            yield Blocks(self.sets[part], self.nodes[part], self.filled[part])

    def read(self, x: Tensor) -> Tensor:
        """Rows of nodes x [N, H, C] as matrices [B, H, rows, C], 0 beyond a set."""
        rows = x.index_select(0, self.nodes.flatten())
        # Not a product with 0: another set's NaN would pass.
        rows = rows.masked_fill_(~self.filled.view(-1, 1, 1), 0)
        return rows.view(*self.nodes.shape, *x.shape[1:]).transpose(1, 2)

    def write(self, matrices: Tensor, out: Tensor) -> None:
        """Put matrices [B, H, rows, C] at their nodes of ``out`` [N + 1, H, C].

        The last row of ``out`` takes what lies beyond a set.
        """
        places = self.nodes.masked_fill(~self.filled, out.size(0) - 1)
        rows = matrices.transpose(1, 2).flatten(0, 1)
        out.index_copy_(0, places.flatten(), rows)


def gram(a: Tensor, b: Tensor, segments: Segments) -> Tensor:
    r""":math:`A^\top B` of each set, of shape [G, H, C, C]; 0 for an empty one.

    Args:
        a (torch.Tensor): A, of shape [N, H, C].
        b (torch.Tensor): B, of shape [N, H, C].
        segments (Segments): The set of each node.
    """
    if torch_alone():
        return segments.sum(a.unsqueeze(-1) * b.unsqueeze(-2))
    product: Tensor = _gram(a, b, *segments.places())
    return product


def transform(a: Tensor, m: Tensor, segments: Segments) -> Tensor:
    """A M of each set, of shape [N, H, C].

    Args:
        a (torch.Tensor): A, of shape [N, H, C].
        m (torch.Tensor): M, of shape [G, H, C, C].
        segments (Segments): The set of each node.
    """
    if torch_alone():
        return (a.unsqueeze(-1) * segments.gather(m)).sum(-2)
    product: Tensor = _transform(a, m, *segments.places())
    return product


# Operators, since the number of blocks is a matter of data: compilers and exporters
# see two products of known shapes.


@torch.library.custom_op("uotp::set_gram", mutates_args=())
def _gram(a: Tensor, b: Tensor, ptr: Tensor, order: Tensor | None) -> Tensor:
    heads, channels = a.shape[1:]
    out = a.new_zeros(ptr.numel() - 1, heads, channels, channels)
    with outside_autocast(a.device):
        for blocks in _blocks(ptr, order, heads, channels):
            product = blocks.read(a).transpose(-2, -1) @ blocks.read(b)
            out.index_add_(0, blocks.sets, product)
    return out


@torch.library.custom_op("uotp::set_transform", mutates_args=())
def _transform(a: Tensor, m: Tensor, ptr: Tensor, order: Tensor | None) -> Tensor:
    heads, channels = a.shape[1:]
    out = a.new_empty(a.size(0) + 1, heads, channels)
    with outside_autocast(a.device):
        for blocks in _blocks(ptr, order, heads, channels):
            blocks.write(blocks.read(a) @ m.index_select(0, blocks.sets), out)
    return out[:-1]


def _blocks(
    ptr: Tensor, order: Tensor | None, heads: int, channels: int
) -> Iterator[Blocks]:
    counts, smallest = ptr.diff(), 0
    for rows, largest in BLOCKS:
        chosen = counts > smallest
        if largest is not None:
            chosen &= counts <= largest
            smallest = largest
        sets = chosen.nonzero().flatten()
        if sets.numel() > 0:
            numbers = heads * channels * (2 * rows + channels)
            yield from _cut(ptr, order, sets, rows).split(numbers)


def _cut(ptr: Tensor, order: Tensor | None, sets: Tensor, rows: int) -> Blocks:
    """Cut the given sets into blocks."""
    start, end = ptr[sets], ptr[sets + 1]
    number = (end - start + rows - 1) // rows
    total = int(number.sum())
    of_block = torch.arange(sets.numel(), device=ptr.device)
    of_block = of_block.repeat_interleave(number, output_size=total)
    rank = torch.arange(total, device=ptr.device)
    rank = rank - (number.cumsum(0) - number)[of_block]
    start = start[of_block] + rank * rows
    places = start.unsqueeze(-1) + torch.arange(rows, device=ptr.device)
    filled = places < end[of_block].unsqueeze(-1)
    nodes = places.where(filled, start.unsqueeze(-1))
    return Blocks(sets[of_block], nodes if order is None else order[nodes], filled)


def _fake_gram(a: Tensor, b: Tensor, ptr: Tensor, order: Tensor | None) -> Tensor:
    heads, channels = a.shape[1:]
    return a.new_empty(ptr.numel() - 1, heads, channels, channels)


def _fake_transform(a: Tensor, m: Tensor, ptr: Tensor, order: Tensor | None) -> Tensor:
    return a.new_empty(a.shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _of_gram(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    a, b, ptr, order = ctx.saved_tensors
    wanted = ctx.needs_input_grad
    of_a = _transform(b, grad.mT.contiguous(), ptr, order) if wanted[0] else None
    of_b = _transform(a, grad.contiguous(), ptr, order) if wanted[1] else None
    return of_a, of_b, None, None


def _of_transform(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    a, m, ptr, order = ctx.saved_tensors
    wanted = ctx.needs_input_grad
    of_a = _transform(grad, m.mT.contiguous(), ptr, order) if wanted[0] else None
    of_m = _gram(a, grad.contiguous(), ptr, order) if wanted[1] else None
    return of_a, of_m, None, None


_gram.register_fake(_fake_gram)
_gram.register_autograd(_of_gram, setup_context=_keep)
_transform.register_fake(_fake_transform)
_transform.register_autograd(_of_transform, setup_context=_keep)
