"""Ragged batches in few words: what is large about them follows from a seed."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

# Nodes times channels, at most: small where they are few, for a problem to take some
# milliseconds, and of any size among the many of make check-all.
MANY = int(os.environ.get("UOTP_PROBLEMS", "1500")) > 10_000
LARGEST = 60_000 if MANY else 5_000
DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
# Powers of ten of the features, from denormal numbers to the largest promised.
POWERS = {"float32": (-45, 30), "float64": (-320, 30)}
POWERS |= {"bfloat16": (-40, 30), "float16": (-7, 4)}


@dataclass(frozen=True)
class Nodes:
    """What a layer is given, and the gradient that it receives.

    Args:
        x: Of shape [N, F].
        index: The set of each node, of shape [N].
        weight: The gradient of the output, of shape [G, F].
        logits: Of the node prior, of shape [N, 1].
        by_ptr: Whether sets are told by their boundaries.
    """

    x: Tensor
    index: Tensor
    weight: Tensor
    logits: Tensor
    by_ptr: bool

    @property
    def num_sets(self) -> int:
        return self.weight.size(0)

    @property
    def left_out(self) -> Tensor:
        """Which nodes the prior leaves out, [N]."""
        return self.logits[:, 0] == -torch.inf

    def layout(self) -> dict[str, Tensor | int]:
        """The sets, as a layer is told of them."""
        if not self.by_ptr:
            return {"index": self.index, "dim_size": self.num_sets}
        counts = self.index.bincount(minlength=self.num_sets)
        return {"ptr": torch.cat([counts.new_zeros(1), counts.cumsum(0)])}

    def to(self, dtype: torch.dtype) -> "Nodes":
        """The same numbers in another type."""
        wide = torch.promote_types(dtype, torch.float32)
        return replace(
            self,
            x=self.x.to(dtype),
            weight=self.weight.to(dtype),
            logits=self.logits.to(wide),
        )

    def take(self, nodes: Tensor) -> "Nodes":
        """Some of the nodes, or all in another order."""
        return replace(
            self, x=self.x[nodes], index=self.index[nodes], logits=self.logits[nodes]
        )

    def sets(self, chosen: Tensor) -> "Nodes":
        """Some of the sets, as often and in the order as they are named."""
        nodes = [(self.index == number).nonzero()[:, 0] for number in chosen.tolist()]
        counts = torch.tensor([len(rows) for rows in nodes], dtype=torch.long)
        index = torch.arange(len(nodes)).repeat_interleave(counts)
        places = torch.cat([*nodes, torch.empty(0, dtype=torch.long)])
        taken = self.take(places)
        return replace(taken, index=index, weight=self.weight[chosen])

    def channels(self, order: Tensor) -> "Nodes":
        """The channels in another order."""
        return replace(self, x=self.x[:, order], weight=self.weight[:, order])

    def of_set(self, number: int) -> Tensor:
        """Which nodes are of a set, [N]."""
        return self.index == number


@dataclass(frozen=True)
class Batch:
    """A batch in the words that a failure is told in.

    Args:
        sizes: How many nodes each set has.
        channels: F, channels of each node.
        dtype: A key of ``DTYPES``.
        layout: ``sorted``, ``shuffled`` or ``ptr``.
        power: Of ten, the size of the features.
        offset: What is added to all of them, in units of that size.
        levels: How many different features there are; many where it is 0.
        prior: ``uniform``, ``logits``, or ``left out`` where some are -inf.
        seed: All else follows from it.
    """

    sizes: tuple[int, ...]
    channels: int
    dtype: str
    layout: str
    power: int
    offset: float
    levels: int
    prior: str
    seed: int

    def nodes(self) -> Nodes:
        """The tensors."""
        draw = torch.Generator().manual_seed(self.seed)
        counts = torch.tensor(self.sizes, dtype=torch.long)
        index = torch.arange(counts.numel()).repeat_interleave(counts)
        size = index.numel()
        x = self._features(size, draw)
        if self.layout == "shuffled":
            index = index[torch.randperm(size, generator=draw)]
        normal = self._normal(draw)
        return Nodes(
            x=x,
            index=index,
            weight=normal(counts.numel(), self.channels).to(x.dtype),
            logits=self._logits(index, draw),
            by_ptr=self.layout == "ptr",
        )

    def _normal(self, draw: torch.Generator) -> Callable[..., Tensor]:
        return lambda *shape: torch.randn(shape, generator=draw, dtype=torch.double)

    def _features(self, size: int, draw: torch.Generator) -> Tensor:
        x = self._normal(draw)(size, self.channels)
        if self.levels:
            x = (x * self.levels / 4).round() * 4 / self.levels
        x = (x + self.offset) / max(1.0, abs(self.offset))
        # In two factors: 1e-320 is no normal number.
        scale = 10.0 ** (self.power / 2)
        return (x * scale * scale).to(DTYPES[self.dtype])

    def _logits(self, index: Tensor, draw: torch.Generator) -> Tensor:
        """Of the prior; no set has all of its nodes left out."""
        logits = self._normal(draw)(index.numel(), 1)
        if self.prior == "uniform":
            logits.zero_()
        if self.prior == "left out":
            order = torch.rand(index.numel(), generator=draw)
            first = torch.full((len(self.sizes),), 2.0)
            first.scatter_reduce_(0, index, order, "amin")
            out = (order < 0.5) & (order > first[index])
            logits[out] = -torch.inf
        return logits.to(torch.promote_types(DTYPES[self.dtype], torch.float32))


@st.composite
def batches(
    draw: st.DrawFn,
    dtypes: tuple[str, ...] = ("float32", "float64"),
    priors: tuple[str, ...] = ("uniform", "logits", "left out"),
    powers: tuple[int, int] | None = None,
) -> Batch:
    """Mostly a few small sets, sometimes thousands of nodes or hundreds of channels."""
    dtype = draw(st.sampled_from(dtypes))
    channels = draw(
        st.one_of(st.integers(1, 8), st.integers(1, 8), st.integers(9, 600))
    )
    most = min(5000, LARGEST // channels)
    small = st.integers(0, min(6, most))
    sizes = draw(
        st.one_of(
            st.lists(small, min_size=1, max_size=6),
            st.lists(small, min_size=1, max_size=6),
            st.lists(st.integers(0, min(100, most)), min_size=1, max_size=6),
            st.tuples(small, st.integers(0, most), small).map(list),
        )
    )
    low, high = POWERS[dtype] if powers is None else powers
    usual = st.integers(max(low, -2), min(high, 2))
    return Batch(
        sizes=tuple(sizes),
        channels=channels,
        dtype=dtype,
        layout=draw(st.sampled_from(("sorted", "shuffled", "ptr"))),
        power=draw(st.one_of(st.just(0), usual, usual, st.integers(low, high))),
        offset=draw(st.sampled_from((0.0, 0.0, 1.0, -30.0, 1000.0))),
        levels=draw(st.sampled_from((0, 0, 1, 8))),
        prior=draw(st.sampled_from(priors)),
        seed=draw(st.integers(0, 2**16)),
    )
