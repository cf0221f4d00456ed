r"""The ragged batches and the readouts whose speed is compared."""

from collections.abc import Callable
from dataclasses import dataclass
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import Module

from benchmarks.dense import DenseSinkhorn, PublishedSinkhorn
from benchmarks.readouts import resolve
from torch_geometric_uotp import UOTPAggregation, ops


@dataclass(frozen=True)
class Workload:
    r"""A batch of sets.

    Args:
        name (str): How reports call it.
        sizes (tuple): Nodes of each set.
        channels (int): D.
    """

    name: str
    sizes: tuple[int, ...]
    channels: int

    @classmethod
    def spread(cls, name: str, sets: int, mean: int, channels: int) -> "Workload":
        r"""Sizes drawn evenly from half the mean to one and a half of it."""
        generator = torch.Generator().manual_seed(0)
        low, high = max(1, mean // 2), mean + (mean - 1) // 2
        sizes = torch.randint(low, high + 1, (sets,), generator=generator)
        return cls(name, tuple(sizes.tolist()), channels)

    @property
    def elements(self) -> int:
        r"""Numbers in x."""
        return sum(self.sizes) * self.channels

    def batch(self) -> tuple[Tensor, Tensor]:
        r"""x, float32 of shape :math:`[N, D]`, and the sorted index of its sets."""
        sizes = torch.tensor(self.sizes)
        index = torch.arange(len(self.sizes)).repeat_interleave(sizes)
        return torch.randn(index.numel(), self.channels, requires_grad=True), index


SPREAD = {
    "A": Workload.spread("A", 128, 50, 64),
    "B": Workload.spread("B", 512, 30, 64),
    "C": Workload.spread("C", 16, 1000, 256),
}
BAG = Workload("D", (200_000,), 512)
SKEWED = Workload("E", (100_000, *(10,) * 2000), 64)
BALANCED = Workload("balanced", (120,) * 1000, 64)
SMALLEST = Workload("smallest", (5,) * 4, 8)

OF_EXPERIMENTS = (
    *("mean", "max", "softmax", "attention"),
    *("uotp", "uotp-attention", "uotp-spread", "uotp-badmm", "uotp-badmm-q"),
)
READOUTS: dict[str, Callable[[int], Module]] = {
    **{name: resolve(name).build for name in OF_EXPERIMENTS},
    "uotp per step": lambda channels: UOTPAggregation(channels, share_steps=False),
    "uotp portable": lambda channels: Portable(UOTPAggregation(channels)),
    "padded": lambda channels: DenseSinkhorn(),
    "published": lambda channels: PublishedSinkhorn(),
}


class Portable(Module):
    r"""A layer kept off the native kernels."""

    def __init__(self, layer: Module):
        super().__init__()
        self.layer = layer

    def forward(self, *args: object, **kwargs: object) -> Tensor:
        r"""What the layer returns, by PyTorch's operators."""
        with patch.object(ops, "AVAILABLE", False):
            pooled: Tensor = self.layer(*args, **kwargs)
        return pooled


def forward_and_backward(name: str, workload: Workload) -> Callable[[], None]:
    r"""One step of training through a readout, by its name: a function to time."""
    return train(READOUTS[name](workload.channels), workload)


def train(readout: Module, workload: Workload) -> Callable[[], None]:
    r"""One step of training through a readout: a function to time."""
    x, index = workload.batch()
    sets = len(workload.sizes)
    grad = torch.randn(sets, workload.channels)

    def step() -> None:
        x.grad = None
        readout.zero_grad()
        torch.autograd.backward(readout(x, index, dim_size=sets), grad)

    return step


def kept_for_backward(name: str, workload: Workload) -> int:
    r"""Bytes that autograd holds after the forward pass, but for x itself."""
    readout = READOUTS[name](workload.channels)
    x, index = workload.batch()
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        pooled = readout(x, index, dim_size=len(workload.sizes))
    for tensor in (x, index, pooled):
        kept.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(kept.values())
