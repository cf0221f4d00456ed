r"""Graphs packed into a few flat tensors."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from benchmarks.examples import offsets, ranges
from benchmarks.known import CLASSES, Facts, classes
from benchmarks.splits import Split


class GraphBatch(NamedTuple):
    r"""Several graphs as one.

    Args:
        x (torch.Tensor): Node features, float32 of shape :math:`[N, F]`.
        edge_index (torch.Tensor): int64 of shape :math:`[2, E]`.
        batch (torch.Tensor): Each node's graph, sorted, int64 of shape :math:`[N]`.
        num_graphs (int): Their number.
    """

    x: Tensor
    edge_index: Tensor
    batch: Tensor
    num_graphs: int


@dataclass(frozen=True)
class GraphSet:
    r"""All graphs of a data set, one after the other.

    A mini-batch is a few gathers from here, with no loop over graphs.

    Args:
        x (torch.Tensor): Node features, float32 of shape :math:`[N, F]`.
        edge_index (torch.Tensor): Nodes numbered from 0 in each graph, int64 of
            shape :math:`[2, E]`.
        node_ptr (torch.Tensor): Where each graph's nodes start, int64 of shape
            :math:`[G + 1]`.
        edge_ptr (torch.Tensor): Where each graph's edges start, likewise.
        y (torch.Tensor): Classes, int64 of shape :math:`[G]`.
    """

    x: Tensor
    edge_index: Tensor
    node_ptr: Tensor
    edge_ptr: Tensor
    y: Tensor

    @classmethod
    def from_data_list(cls, graphs: Sequence[Data]) -> "GraphSet":
        r"""Packs PyG graphs, each with ``x``, ``edge_index`` and a class ``y``."""
        return cls(
            x=torch.cat([graph.x for graph in graphs]).float(),
            edge_index=torch.cat([graph.edge_index for graph in graphs], dim=1),
            node_ptr=offsets(torch.tensor([graph.num_nodes for graph in graphs])),
            edge_ptr=offsets(torch.tensor([graph.num_edges for graph in graphs])),
            y=torch.tensor([int(graph.y) for graph in graphs]),
        )

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: str) -> "GraphSet":
        r"""The same graphs with all tensors on ``device``."""
        moved = {name: value.to(device) for name, value in vars(self).items()}
        return replace(self, **moved)

    def facts(self) -> Facts:
        r"""What there is of each kind, for :mod:`benchmarks.known`."""
        return {
            "graphs": len(self.y),
            "nodes": len(self.x),
            "edges": self.edge_index.size(1),
            CLASSES: classes(self.y),
        }

    def digest(self) -> str:
        r"""What all of it hashes to, as 64 hexadecimal digits."""
        found = hashlib.sha256()
        for name, value in vars(self).items():
            found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            found.update(memoryview(value.cpu().contiguous().numpy()).cast("B"))
        return found.hexdigest()

    def fitted(self, train: Tensor) -> "GraphSet":
        r"""The same graphs: their features are counts and classes, used as they are."""
        return self

    def select(self, ids: Tensor) -> tuple[GraphBatch, Tensor]:
        r"""Some graphs as one batch, in the order asked for, and their classes.

        Args:
            ids (torch.Tensor): Their positions, int64 of shape :math:`[B]`.
        """
        nodes = self.node_ptr[ids + 1] - self.node_ptr[ids]
        edges = self.edge_ptr[ids + 1] - self.edge_ptr[ids]
        shift = (nodes.cumsum(0) - nodes).repeat_interleave(edges)
        graphs = GraphBatch(
            x=self.x[ranges(self.node_ptr[ids], nodes)],
            edge_index=self.edge_index[:, ranges(self.edge_ptr[ids], edges)] + shift,
            batch=torch.arange(len(ids), device=ids.device).repeat_interleave(nodes),
            num_graphs=len(ids),
        )
        return graphs, self.y[ids]


@dataclass(frozen=True)
class GraphDataset:
    r"""A named data set.

    Args:
        name (str): Its name.
        graphs (GraphSet): Its graphs.
        classes (tuple): The names of the classes.
        split (Callable): Maps classes, fold and seed to a
            :class:`~benchmarks.splits.Split`, which depends on nothing else.
        molecules (Sequence, optional): RDKit molecules of the graphs, to draw.
            (default: none)
    """

    name: str
    graphs: GraphSet
    classes: tuple[str, ...]
    split: Callable[[Tensor, int, int], Split]
    molecules: Sequence[Any] = ()

    def to(self, device: str) -> "GraphDataset":
        r"""The same data set with its graphs on ``device``."""
        return replace(self, graphs=self.graphs.to(device))

    def describe(self) -> str:
        r"""One line for a person."""
        num_graphs, (num_nodes, num_features) = len(self.graphs), self.graphs.x.shape
        return (
            f"{self.name}: {num_graphs:,} graphs in {len(self.classes)} classes, "
            f"{num_nodes / num_graphs:.1f} nodes each with {num_features} features"
        )
