r"""The graph classifier of the experiments, with a readout of choice."""

from typing import Any

from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import GIN, MLP

from benchmarks.graph_data import GraphBatch
from benchmarks.readouts import Readout


class GraphClassifier(Module):
    r"""GIN with batch normalisation, a readout and a two-layer head.

    GIN is from `"How Powerful are Graph Neural Networks?"
    <https://arxiv.org/abs/1810.00826>`_. The readout is built last, so that at one
    seed all readouts start from the same backbone and (at equal width) head.

    Args:
        in_channels (int): Node features.
        num_classes (int): Classes.
        readout (Readout): How to build the readout.
        hidden (int): Channels of the node embeddings. (default: :obj:`64`)
        num_layers (int): GIN layers. (default: :obj:`3`)
        dropout (float): Probability of dropout in the head. (default: :obj:`0.2`)
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        readout: Readout,
        hidden: int = 64,
        num_layers: int = 3,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.backbone = GIN(
            in_channels, hidden, num_layers, norm="batch_norm", jk="last"
        )
        self.head = MLP(
            [readout.expansion * hidden, hidden, num_classes],
            dropout=[dropout, 0.0],
            norm=None,
        )
        self.readout: Any = readout.build(hidden)
        self.reads_edges = readout.reads_edges

    def embed(self, graphs: GraphBatch) -> Tensor:
        r"""Node embeddings, :math:`[N, hidden]`."""
        embedding: Tensor = self.backbone(graphs.x, graphs.edge_index)
        return embedding

    def forward(self, graphs: GraphBatch) -> Tensor:
        r"""Logits, :math:`[G, C]`."""
        edges = {"edge_index": graphs.edge_index} if self.reads_edges else {}
        pooled = self.readout(
            self.embed(graphs), graphs.batch, dim_size=graphs.num_graphs, **edges
        )
        logits: Tensor = self.head(pooled)
        return logits
