r"""Sets of feature vectors, packed, and a classifier of them."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import MLP

from benchmarks.examples import offsets, ranges
from benchmarks.known import CLASSES, Facts, classes
from benchmarks.readouts import Readout


class SetBatch(NamedTuple):
    r"""Several sets as one.

    Args:
        x (torch.Tensor): Instances, of shape :math:`[N, *]`.
        batch (torch.Tensor): Each instance's set, sorted, int64 of shape :math:`[N]`.
        num_sets (int): Their number.
    """

    x: Tensor
    batch: Tensor
    num_sets: int


@dataclass(frozen=True)
class SetExamples:
    r"""Labelled sets, one after the other.

    Args:
        x (torch.Tensor): Instances, float32 of shape :math:`[N, *]`; or a table
            that ``rows`` points into.
        ptr (torch.Tensor): Where each set starts, int64 of shape :math:`[G + 1]`.
        y (torch.Tensor): Classes, int64 of shape :math:`[G]`.
        standardise (bool): Whether :meth:`fitted` does anything.
            (default: :obj:`False`)
        rows (torch.Tensor, optional): The row of ``x`` of each instance, int64;
            so one image can be in many sets. (default: all, in order)
    """

    x: Tensor
    ptr: Tensor
    y: Tensor
    standardise: bool = False
    rows: Tensor | None = None

    @classmethod
    def from_counts(
        cls, x: Tensor, counts: Tensor, y: Tensor, standardise: bool = False
    ) -> "SetExamples":
        r"""Packs instances that come set by set, ``counts`` of them in each."""
        return cls(x, offsets(counts), y, standardise)

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: str) -> "SetExamples":
        r"""The same sets with all tensors on ``device``."""
        rows = None if self.rows is None else self.rows.to(device)
        return replace(
            self,
            x=self.x.to(device),
            ptr=self.ptr.to(device),
            y=self.y.to(device),
            rows=rows,
        )

    def instances(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        r"""The instances of some sets, and how many each has."""
        counts = self.ptr[ids + 1] - self.ptr[ids]
        places = ranges(self.ptr[ids], counts)
        return self.x[places if self.rows is None else self.rows[places]], counts

    def select(self, ids: Tensor) -> tuple[SetBatch, Tensor]:
        r"""Some sets as one batch, in the order asked for, and their classes."""
        x, counts = self.instances(ids)
        batch = torch.arange(len(ids), device=ids.device).repeat_interleave(counts)
        return SetBatch(x, batch, len(ids)), self.y[ids]

    def facts(self) -> Facts:
        r"""What there is of each kind, for :mod:`benchmarks.known`."""
        return {
            "bags": len(self.y),
            "instances": int(self.ptr[-1]),
            "features": self.x[0].numel(),
            CLASSES: classes(self.y),
        }

    def fitted(self, train: Tensor) -> "SetExamples":
        r"""Features to mean 0 and deviation 1 over the instances of ``train``.

        A feature that is constant there is only centred.
        """
        if not self.standardise:
            return self
        seen, _ = self.instances(train)
        deviation, mean = torch.std_mean(seen, 0, correction=0)
        return replace(
            self, x=(self.x - mean) / deviation.masked_fill(deviation == 0, 1)
        )


class SetClassifier(Module):
    r"""An encoder of instances, a readout and a two-layer head.

    The readout is built last, so that at one seed all readouts start from the same
    encoder and (at equal width) head.

    Args:
        encoder (torch.nn.Module): Maps instances to :math:`[N, hidden]`.
        hidden (int): Channels of the encoded instances.
        num_classes (int): Classes.
        readout (Readout): How to build the readout.
        dropout (float): Probability of dropout in the head. (default: :obj:`0.0`)
    """

    def __init__(
        self,
        encoder: Module,
        hidden: int,
        num_classes: int,
        readout: Readout,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.encoder = encoder
        self.head = MLP(
            [readout.expansion * hidden, hidden, num_classes],
            dropout=[dropout, 0.0],
            norm=None,
        )
        self.readout: Any = readout.build(hidden)

    def forward(self, sets: SetBatch) -> Tensor:
        r"""Logits, :math:`[G, C]`."""
        pooled = self.readout(self.encoder(sets.x), sets.batch, dim_size=sets.num_sets)
        logits: Tensor = self.head(pooled)
        return logits
