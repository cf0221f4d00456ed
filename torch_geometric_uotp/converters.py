r"""The layer that is exactly a given pooling module."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import AdaptiveAvgPool2d, AdaptiveMaxPool2d, Module
from torch_geometric.nn import MLP
from torch_geometric.nn.aggr import (
    AttentionalAggregation,
    MaxAggregation,
    MeanAggregation,
    PowerMeanAggregation,
    SoftmaxAggregation,
    SumAggregation,
    VariancePreservingAggregation,
)

from torch_geometric_uotp.aggr import UOTPAggregation
from torch_geometric_uotp.conventional import FREE, keeps
from torch_geometric_uotp.modes import modes_kept
from torch_geometric_uotp.vision import UOTPPool2d

Build = Callable[[Any, int, Mapping[str, Any]], Module]


@dataclass(frozen=True)
class Converter:
    r"""How to replace the pooling modules of one type.

    Args:
        build (callable): Makes the layer from the module, its number of
            channels and further arguments of the layer; a ``ValueError`` says
            why there is none that equals the module.
        channel_axis (int): Where a module's input has its channels.
            (default: :obj:`-1`)
    """

    build: Build
    channel_axis: int = -1


def convert(module: Module, channels: int, **kwargs: Any) -> Module:
    """The layer that equals a pooling module, and learns from there.

    Networks inside the module are taken over, not copied.

    Args:
        module (torch.nn.Module): Of a type in :obj:`CONVERTERS`.
        channels (int): Size of each input sample.
        **kwargs (optional): Further arguments of the layer: those that leave the
            pooling as it is, :obj:`~torch_geometric_uotp.conventional.FREE`, and a
            ``size_power`` of 0.

    Raises:
        ValueError: If no layer equals the module, or an argument would make the
            layer another pooling (it is named).
    """
    if type(module) not in CONVERTERS:
        known = ", ".join(sorted(kind.__name__ for kind in CONVERTERS))
        raise ValueError(f"no layer equals {module}; known are {known}")
    return CONVERTERS[type(module)].build(module, channels, kwargs)


def _matching(
    name: str, channels: int, kwargs: Mapping[str, Any], **settled: Any
) -> UOTPAggregation:
    _check_free(name, kwargs, settled)
    return UOTPAggregation.like(name, channels, **settled, **kwargs)


def _check_free(
    name: str, kwargs: Mapping[str, Any], settled: Mapping[str, Any]
) -> None:
    bound = [
        argument
        for argument, value in sorted(kwargs.items())
        if argument in settled or not keeps(name, argument, value)
    ]
    if bound:
        raise ValueError(
            f"{', '.join(map(repr, bound))} must be left out, since the pooling that "
            f"is replaced settles it; free are {sorted(FREE[name] - settled.keys())}"
        )


def _as(name: str, **settled: Any) -> Converter:
    def build(
        module: Module, channels: int, kwargs: Mapping[str, Any]
    ) -> UOTPAggregation:
        return _matching(name, channels, kwargs, **settled)

    return Converter(build)


def _images(name: str) -> Converter:
    def build(module: Any, channels: int, kwargs: Mapping[str, Any]) -> UOTPPool2d:
        if module.output_size not in (1, (1, 1), [1, 1]) or getattr(
            module, "return_indices", False
        ):
            raise ValueError(f"images must be pooled to one pixel (got {module})")
        _check_free(name, kwargs, {})
        return UOTPPool2d.like(name, channels, **kwargs)

    return Converter(build, channel_axis=-3)


def _power_mean(
    module: PowerMeanAggregation, channels: int, kwargs: Mapping[str, Any]
) -> UOTPAggregation:
    # Only this one is not clamped on the way in and out.
    if module.learn or module.p != 1:
        raise ValueError(
            f"a power mean is a UOTP layer at a fixed power of 1 only (got {module.p})"
        )
    return _matching("mean", channels, kwargs)


def _softmax(
    module: SoftmaxAggregation, channels: int, kwargs: Mapping[str, Any]
) -> UOTPAggregation:
    t = torch.as_tensor(module.t).detach().to("cpu", torch.float64).flatten()
    if bool((t < 0).any()):
        raise ValueError(
            "the inverse temperature of a softmax must not be negative (got "
            f"{t.min():g})"
        )
    if t.numel() == 1:
        return _matching("softmax", channels, kwargs, alpha0=1 / t)
    if t.numel() != channels:
        raise ValueError(
            f"the softmax must have one inverse temperature or {channels}, that of "
            f"each channel (got {t.numel()})"
        )
    return _matching("softmax", channels, kwargs, alpha0=1 / t, heads=channels)


def _attention(
    module: AttentionalAggregation, channels: int, kwargs: Mapping[str, Any]
) -> UOTPAggregation:
    if module.nn is not None or module.mlp is not None:
        raise ValueError(
            "attention must weigh what its gate reads (got a network 'nn' between)"
        )
    gate: Module = module.gate_nn if module.gate_mlp is None else module.gate_mlp
    if isinstance(gate, MLP) and gate.supports_norm_batch:
        raise ValueError("a gate must read each node alone (got one that normalises)")
    width = _width(gate, channels)
    if width not in (1, channels):
        raise ValueError(
            f"a gate must give each node 1 or {channels} values (got {width})"
        )
    heads = {} if width == 1 else {"heads": channels}
    return _matching("attention", channels, kwargs, node_prior=gate, **heads)


@torch.no_grad()
def _width(gate: Module, channels: int) -> int:
    """The values a gate gives a node."""
    like = next(gate.parameters(), torch.empty(0))
    with modes_kept(gate):
        logits: Tensor = gate.eval()(like.new_zeros(1, channels))
    return logits.size(-1)


CONVERTERS: dict[type[Module], Converter] = {
    MeanAggregation: _as("mean"),
    SumAggregation: _as("sum"),
    VariancePreservingAggregation: _as("sum", size_power=0.5),
    MaxAggregation: _as("max"),
    PowerMeanAggregation: Converter(_power_mean),
    SoftmaxAggregation: Converter(_softmax),
    AttentionalAggregation: Converter(_attention),
    AdaptiveAvgPool2d: _images("mean"),
    AdaptiveMaxPool2d: _images("max"),
}
