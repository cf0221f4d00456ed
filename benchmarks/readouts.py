r"""Every readout of the experiments, by name."""

from collections.abc import Callable
from dataclasses import dataclass

from torch.nn import Linear, Sequential, Tanh
from torch_geometric.nn.aggr import (
    Aggregation,
    AttentionalAggregation,
    MaxAggregation,
    MeanAggregation,
    Set2Set,
    SoftmaxAggregation,
    SumAggregation,
)

from torch_geometric_uotp import UOTPAggregation


@dataclass(frozen=True)
class Readout:
    r"""How to build a readout.

    Args:
        build (Callable): Maps the number of channels to the module.
        expansion (int): Channels it returns, in multiples of those it reads.
            (default: :obj:`1`)
    """

    build: Callable[[int], Aggregation]
    expansion: int = 1


def _attention(channels: int) -> Aggregation:
    return AttentionalAggregation(
        Sequential(Linear(channels, channels), Tanh(), Linear(channels, 1))
    )


READOUTS = {
    "mean": Readout(lambda channels: MeanAggregation()),
    "max": Readout(lambda channels: MaxAggregation()),
    "sum": Readout(lambda channels: SumAggregation()),
    "attention": Readout(_attention),
    "softmax": Readout(
        lambda channels: SoftmaxAggregation(learn=True, channels=channels)
    ),
    "set2set": Readout(
        lambda channels: Set2Set(channels, processing_steps=3), expansion=2
    ),
    "uotp": Readout(lambda channels: UOTPAggregation(channels)),
    "uotp-badmm": Readout(lambda channels: UOTPAggregation(channels, solver="badmm")),
    "uotp-badmm-q": Readout(
        lambda channels: UOTPAggregation(
            channels, solver="badmm", regularizer="quadratic"
        )
    ),
    "uotp-attention": Readout(
        lambda channels: UOTPAggregation(channels, node_prior="attention")
    ),
}


def resolve(name: str) -> Readout:
    r"""The readout called ``name``.

    Raises:
        ValueError: If there is none; the message lists those there are.
    """
    if name not in READOUTS:
        raise ValueError(f"no readout '{name}' (choose from: {', '.join(READOUTS)})")
    return READOUTS[name]
