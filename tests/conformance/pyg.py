"""PyTorch Geometric's own aggregators, to be held against the same contract."""

from collections.abc import Callable

import torch
from torch.nn import Linear
from torch_geometric.nn import aggr
from torch_geometric.nn.aggr import Aggregation

from tests.conformance.case import Case


def _mlp_readout(channels: int) -> Aggregation:
    return aggr.MLPAggregation(
        channels, channels, max_num_elements=1024, num_layers=1, norm=None
    )


def _patch_transformer(channels: int) -> Aggregation:
    return aggr.PatchTransformerAggregation(
        channels, channels, patch_size=4, hidden_channels=8
    )


def _deep_sets(channels: int) -> Aggregation:
    return aggr.DeepSetsAggregation(
        Linear(channels, channels), Linear(channels, channels)
    )


def _degree_scaler(channels: int) -> Aggregation:
    histogram = torch.tensor([0, 2, 3, 5])
    return aggr.DegreeScalerAggregation(["mean", "max"], ["identity"], histogram)


FACTORIES: dict[str, Callable[[int], Aggregation]] = {
    "sum": lambda channels: aggr.SumAggregation(),
    "mean": lambda channels: aggr.MeanAggregation(),
    "max": lambda channels: aggr.MaxAggregation(),
    "min": lambda channels: aggr.MinAggregation(),
    "mul": lambda channels: aggr.MulAggregation(),
    "var": lambda channels: aggr.VarAggregation(),
    "std": lambda channels: aggr.StdAggregation(),
    "median": lambda channels: aggr.MedianAggregation(),
    "quantile": lambda channels: aggr.QuantileAggregation(0.3),
    "softmax": lambda channels: aggr.SoftmaxAggregation(learn=True),
    "power mean": lambda channels: aggr.PowerMeanAggregation(learn=True),
    "attentional": lambda channels: aggr.AttentionalAggregation(Linear(channels, 1)),
    "DeepSets": _deep_sets,
    "Set2Set": lambda channels: aggr.Set2Set(channels, processing_steps=3),
    "LSTM": lambda channels: aggr.LSTMAggregation(channels, channels),
    "GRU": lambda channels: aggr.GRUAggregation(channels, channels),
    "MLP": _mlp_readout,
    "sort": lambda channels: aggr.SortAggregation(k=3),
    "GMT": lambda channels: aggr.GraphMultisetTransformer(channels, k=3),
    "SetTransformer": lambda channels: aggr.SetTransformerAggregation(channels),
    "LCM": lambda channels: aggr.LCMAggregation(channels, channels),
    "PatchTransformer": _patch_transformer,
    "variance preserving": lambda channels: aggr.VariancePreservingAggregation(),
    "equilibrium": lambda channels: aggr.EquilibriumAggregation(
        channels, channels, num_layers=[8]
    ),
    "multi": lambda channels: aggr.MultiAggregation(["mean", "max", "std"]),
    "degree scaler": _degree_scaler,
}

CASES = [Case(name, make) for name, make in FACTORIES.items()]
