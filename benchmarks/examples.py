r"""What the harness needs of data: labelled examples, selected by position."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from benchmarks.known import Facts

Augment = Callable[[Any, torch.Generator], Any]


class Examples(Protocol):
    r"""Labelled examples of any kind: graphs, bags, images."""

    @property
    def y(self) -> Tensor:
        r"""Classes, int64 of shape :math:`[G]`."""

    def select(self, ids: Tensor) -> tuple[Any, Tensor]:
        r"""Some examples as one batch, in the order asked for, and their classes."""

    def fitted(self, train: Tensor) -> "Examples":
        r"""The examples, normalised by what those at ``train`` show, and no others."""

    def facts(self) -> Facts:
        r"""What there is of each kind, for :mod:`benchmarks.known`."""

    def to(self, device: str) -> "Examples":
        r"""The same examples with all tensors on ``device``."""


@dataclass(frozen=True)
class Batches:
    r"""Mini-batches of some of the examples, in a new order each time if shuffled.

    Their sizes differ by at most one: a rest of a single example could leave batch
    normalisation without a variance.

    Args:
        examples (Examples): The examples.
        ids (torch.Tensor): Positions of those wanted, int64.
        batch_size (int): Examples in a batch, at most.
        generator (torch.Generator, optional): Shuffles. (default: no shuffling)
        augment (Callable, optional): Maps the inputs of a batch and the generator
            to other inputs; needs a generator. (default: none)
    """

    examples: Examples
    ids: Tensor
    batch_size: int
    generator: torch.Generator | None = None
    augment: Augment | None = None

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        ids = self.ids
        if self.generator is not None:
            ids = ids[torch.randperm(len(ids), generator=self.generator)]
        for part in ids.tensor_split(math.ceil(len(ids) / self.batch_size)):
            inputs, y = self.examples.select(part.to(self.examples.y.device))
            if self.augment is not None and self.generator is not None:
                inputs = self.augment(inputs, self.generator)
            yield inputs, y


def offsets(counts: Tensor) -> Tensor:
    r"""Where each of several consecutive runs starts, and where the last one ends."""
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def ranges(start: Tensor, count: Tensor) -> Tensor:
    r"""``start[0], start[0] + 1, ...`` up to ``count[0]`` numbers, then the next."""
    first = (start - count.cumsum(0) + count).repeat_interleave(count)
    return first + torch.arange(len(first), device=count.device)
