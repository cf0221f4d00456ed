r"""Every readout of the experiments, by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch.nn import Linear, Module, Sequential, Tanh
from torch_geometric.nn import MLP
from torch_geometric.nn.aggr import (
    Aggregation,
    AttentionalAggregation,
    DeepSetsAggregation,
    GraphMultisetTransformer,
    MaxAggregation,
    MeanAggregation,
    MultiAggregation,
    PowerMeanAggregation,
    Set2Set,
    SetTransformerAggregation,
    SoftmaxAggregation,
    SumAggregation,
)

from benchmarks import candidates
from benchmarks.ablation import freeze_fidelities, remove_transport
from benchmarks.pooling import (
    DynamicAggregation,
    GatedMixedAggregation,
    GatedScore,
    MixedAggregation,
    SAGReadout,
)
from torch_geometric_uotp import (
    HierarchicalUOTPAggregation,
    ROTPAggregation,
    UOTPAggregation,
)


@dataclass(frozen=True)
class Readout:
    r"""How to build a readout.

    Args:
        build (Callable): Maps the number of channels to the module.
        expansion (int): Channels it returns, in multiples of those it reads.
            (default: :obj:`1`)
        reads_edges (bool): Whether it is called with ``edge_index`` too, and so
            serves graphs alone. (default: :obj:`False`)
    """

    build: Callable[[int], Module]
    expansion: int = 1
    reads_edges: bool = False


def _attention(channels: int) -> Aggregation:
    return AttentionalAggregation(
        Sequential(Linear(channels, channels), Tanh(), Linear(channels, 1))
    )


def _deep_sets(channels: int) -> Aggregation:
    sizes = [channels, channels, channels]
    return DeepSetsAggregation(MLP(sizes, norm=None), MLP(sizes, norm=None))


def _uotp_without_transport(channels: int) -> UOTPAggregation:
    layer = UOTPAggregation(channels, alpha2=0.0)
    freeze_fidelities(layer)
    return layer


def _spread_without_transport(channels: int) -> UOTPAggregation:
    layer = UOTPAggregation.spread(channels)
    remove_transport(layer)
    return layer


def _side_by_side(*builds: Callable[[int], Aggregation]) -> Readout:
    return Readout(
        lambda channels: MultiAggregation([build(channels) for build in builds]),
        expansion=len(builds),
    )


def _mean(channels: int) -> Aggregation:
    return MeanAggregation()


def _max(channels: int) -> Aggregation:
    return MaxAggregation()


def _sum(channels: int) -> Aggregation:
    return SumAggregation()


CONVENTIONAL = {
    "mean": Readout(_mean),
    "max": Readout(_max),
    "sum": Readout(_sum),
    "mixed": Readout(lambda channels: MixedAggregation()),
    "gated-mixed": Readout(GatedMixedAggregation),
    "attention": Readout(_attention),
    "gated-attention": Readout(
        lambda channels: AttentionalAggregation(GatedScore(channels))
    ),
    "softmax": Readout(
        lambda channels: SoftmaxAggregation(learn=True, channels=channels)
    ),
    "power-mean": Readout(
        lambda channels: PowerMeanAggregation(learn=True, channels=channels)
    ),
    "dynamic": Readout(lambda channels: DynamicAggregation()),
    "set2set": Readout(
        lambda channels: Set2Set(channels, processing_steps=3), expansion=2
    ),
    "deep-sets": Readout(_deep_sets),
    "set-transformer": Readout(
        lambda channels: SetTransformerAggregation(channels, heads=4)
    ),
    "gmt": Readout(lambda channels: GraphMultisetTransformer(channels, k=8, heads=4)),
    "sagpool": Readout(SAGReadout, expansion=2, reads_edges=True),
}

# Side by side, as wide together as the heads of a layer that keeps them apart.
CONCATENATED = {
    "mean||max": _side_by_side(_mean, _max),
    "mean||max||attention": _side_by_side(_mean, _max, _attention),
    "mean||max||sum": _side_by_side(_mean, _max, _sum),
}

OURS = {
    "uotp-spread": Readout(UOTPAggregation.spread),
    "uotp": Readout(UOTPAggregation),
    "uotp-size": Readout(lambda channels: UOTPAggregation(channels, size_power=0.5)),
    "uotp-badmm": Readout(lambda channels: UOTPAggregation(channels, solver="badmm")),
    "uotp-badmm-q": Readout(
        lambda channels: UOTPAggregation(
            channels, solver="badmm", regularizer="quadratic"
        )
    ),
    "uotp-attention": Readout(
        lambda channels: UOTPAggregation(channels, node_prior="attention")
    ),
    "rotp": Readout(ROTPAggregation),
    "hierarchical": Readout(HierarchicalUOTPAggregation),
}

# The same without transport: channels share a temperature and maybe a prior, no more.
ABLATIONS = {
    "softmax1": Readout(lambda channels: SoftmaxAggregation(learn=True)),
    "uotp-rq0": Readout(_uotp_without_transport),
    "uotp-spread-rq0": Readout(_spread_without_transport),
}

CANDIDATES = {
    name: Readout(build, expansion=candidates.expansion(name))
    for name, build in candidates.BUILDS.items()
}

READOUTS = CONVENTIONAL | CONCATENATED | OURS | ABLATIONS | CANDIDATES

# What is claimed is decided by these; the others are run where a run is short.
DECISIVE = [
    *("mean", "max", "sum", "attention", "gated-attention", "softmax"),
    *(*CONCATENATED, "uotp-spread", "uotp", *ABLATIONS),
]


def resolve(name: str) -> Readout:
    r"""The readout called ``name``.

    Raises:
        ValueError: If there is none; the message lists those there are.
    """
    if name not in READOUTS:
        raise ValueError(f"no readout '{name}' (choose from: {', '.join(READOUTS)})")
    return READOUTS[name]


def refuse_unknown(option: str, names: Sequence[str]) -> None:
    r"""Refuses names of an option.

    Raises:
        ValueError: If there is no such readout, or one is named twice.
    """
    for name in names:
        resolve(name)
    if len(set(names)) < len(names):
        raise ValueError(f"{option} names one twice (got {' '.join(names)})")
