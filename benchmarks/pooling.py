r"""Conventional readouts that PyG does not have."""

import torch
from torch import Tensor
from torch.nn import Linear, Module, Parameter
from torch_geometric.nn import SAGPooling
from torch_geometric.nn.aggr import Aggregation
from torch_geometric.utils import softmax


class MixedAggregation(Aggregation):
    r"""Mean and max in one learned proportion, "mixed" pooling of `"Generalizing
    Pooling Functions in Convolutional Neural Networks: Mixed, Gated, and Tree"
    <https://arxiv.org/abs/1509.08985>`_.

    .. math::
        \omega \, \mathrm{mean} + (1 - \omega) \max, \qquad
        \omega = \mathrm{sigmoid}(\theta)
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = Parameter(torch.zeros(1))

    def forward(
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
    ) -> Tensor:
        mean, top = _mean_and_max(self, x, index, ptr, dim_size, dim)
        return torch.lerp(top, mean, self.weight.sigmoid())


class GatedMixedAggregation(Aggregation):
    r"""Mean and max in a proportion that depends on the set, "gated" pooling of
    `"Generalizing Pooling Functions in Convolutional Neural Networks: Mixed, Gated,
    and Tree" <https://arxiv.org/abs/1509.08985>`_.

    As mixed, with :math:`\omega = \mathrm{sigmoid}(w^\top \mathrm{mean} + c)`.

    Args:
        channels (int): Size of each input sample.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = Linear(channels, 1)

    def forward(
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
    ) -> Tensor:
        mean, top = _mean_and_max(self, x, index, ptr, dim_size, dim)
        return torch.lerp(top, mean, self.gate(mean).sigmoid())


def _mean_and_max(
    layer: Aggregation,
    x: Tensor,
    index: Tensor | None,
    ptr: Tensor | None,
    dim_size: int | None,
    dim: int,
) -> tuple[Tensor, Tensor]:
    mean: Tensor = layer.reduce(x, index, ptr, dim_size, dim, reduce="mean")
    top: Tensor = layer.reduce(x, index, ptr, dim_size, dim, reduce="max")
    return mean, top


class GatedScore(Module):
    r"""The gated attention of `"Attention-based Deep Multiple Instance Learning"
    <https://arxiv.org/abs/1802.04712>`_, as logits:
    :math:`w^\top (\tanh(V x) \odot \mathrm{sigmoid}(U x))`.

    Args:
        channels (int): Size of each input sample.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.content = Linear(channels, channels)
        self.gate = Linear(channels, channels)
        self.score = Linear(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        r"""Logits, :math:`[N, 1]`."""
        logits: Tensor = self.score(self.content(x).tanh() * self.gate(x).sigmoid())
        return logits


class DynamicAggregation(Aggregation):
    r"""The dynamic pooling of `"Deep Multi-instance Learning with Dynamic Pooling"
    <https://proceedings.mlr.press/v95/yan18a.html>`_.

    Instances that agree with the pooled vector gain weight, as in the routing of
    capsules: from b = 0, each round takes

    .. math::
        c_n = \mathrm{softmax}_n(b_n), \quad s = \sum_n c_n x_n, \quad
        v = \frac{\|s\|^2}{1 + \|s\|^2} \frac{s}{\|s\|}, \quad
        b_n \leftarrow b_n + \langle v, x_n \rangle

    and the last v is the output.

    Args:
        num_rounds (int): Rounds. (default: :obj:`3`)
    """

    def __init__(self, num_rounds: int = 3) -> None:
        super().__init__()
        self.num_rounds = num_rounds

    def forward(
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
    ) -> Tensor:
        b = x.new_zeros(x.size(0), 1)
        for _ in range(self.num_rounds):
            c = softmax(b, index, ptr, dim_size, dim)
            v = squash(self.reduce(c * x, index, ptr, dim_size, dim, reduce="sum"))
            b = b + (v[index] * x).sum(-1, keepdim=True)
        return v


def squash(s: Tensor) -> Tensor:
    r"""The vector of the same direction and of length :math:`|s|^2 / (1 + |s|^2)`."""
    square = s.square().sum(-1, keepdim=True)
    # The root has no derivative at 0, where the vector has length 0 anyway.
    return s * (square.clamp(min=1e-12).sqrt() / (1 + square))


class SAGReadout(Module):
    r"""The readout of `"Self-Attention Graph Pooling"
    <https://arxiv.org/abs/1904.08082>`_ after one pooling: mean and max of the nodes
    kept.

    Args:
        channels (int): Size of each input sample.
        ratio (float): Share of the nodes kept. (default: :obj:`0.5`)
    """

    def __init__(self, channels: int, ratio: float = 0.5) -> None:
        super().__init__()
        self.pool = SAGPooling(channels, ratio)
        self.mean_and_max = _MeanAndMax()

    def forward(
        self, x: Tensor, index: Tensor, dim_size: int, edge_index: Tensor
    ) -> Tensor:
        r"""Pooled vectors, :math:`[G, 2 C]`."""
        kept, _, _, batch, *_ = self.pool(x, edge_index, batch=index)
        pooled: Tensor = self.mean_and_max(kept, batch, dim_size=dim_size)
        return pooled


class _MeanAndMax(Aggregation):
    def forward(
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
    ) -> Tensor:
        return torch.cat(_mean_and_max(self, x, index, ptr, dim_size, dim), dim=-1)
