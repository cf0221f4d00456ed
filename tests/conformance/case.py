"""What a clause is given, and the few things that all clauses do with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn.aggr import Aggregation

CHANNELS = 4


@dataclass(frozen=True)
class Case:
    """A layer to examine.

    Args:
        name: How reports call it.
        make: From a number of channels to a layer.
        exempt: The clauses it does not claim to keep, each with the reason.
        batching: How far a set's result in a batch may be from its result alone,
            relative to the result's scale; 0 asks for the same bits.
        at_bounds: Prefixes of parameters that start at an end of their range, where
            there are no finite differences to compare a derivative with.
    """

    name: str
    make: Callable[[int], Aggregation]
    exempt: Mapping[str, str] = field(default_factory=dict)
    batching: float = 2e-6
    at_bounds: tuple[str, ...] = ()

    def build(self, dtype: torch.dtype = torch.float32) -> Aggregation:
        """The layer in evaluation mode; two builds have the same parameters."""
        torch.manual_seed(1)
        return self.make(CHANNELS).to(dtype).eval()


@dataclass(frozen=True)
class Batch:
    """Sets of the given sizes: x [N, F], index [N] ascending, ptr [G + 1]."""

    x: Tensor
    index: Tensor
    ptr: Tensor

    @classmethod
    def of(
        cls,
        *sizes: int,
        dtype: torch.dtype = torch.float32,
        lead: Sequence[int] = (),
        seed: int = 2,
    ) -> "Batch":
        """Standard normal features of shape [*lead, N, F]."""
        generator = torch.Generator().manual_seed(seed)
        shape = (*lead, sum(sizes), CHANNELS)
        x = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
        count = torch.tensor(sizes)
        index = torch.arange(len(sizes)).repeat_interleave(count)
        ptr = torch.cat([count.new_zeros(1), count.cumsum(0)])
        return cls(x, index, ptr)

    @property
    def num_sets(self) -> int:
        return self.ptr.numel() - 1

    def by_index(self) -> dict[str, Any]:
        return {"index": self.index, "dim_size": self.num_sets}

    def by_ptr(self) -> dict[str, Any]:
        return {"ptr": self.ptr}

    def set_of(self, g: int) -> Tensor:
        return self.x[self.ptr[g] : self.ptr[g + 1]]


def gradients(aggr: Aggregation, x: Tensor, pool: Callable[[Tensor], Tensor]) -> dict:
    """The output, and the gradients of a weighted sum of it.

    Returns:
        ``out``, ``x`` and one entry a parameter; None where there is no gradient.
    """
    x = x.detach().clone().requires_grad_()
    out = pool(x)
    if not out.requires_grad:
        raise AssertionError("the output is cut off from the graph of x")
    weight = torch.linspace(0.5, 1.5, out.numel()).view(out.shape).to(out)
    names, inputs = zip(("x", x), *aggr.named_parameters(), strict=True)
    found = torch.autograd.grad((out * weight).sum(), inputs, allow_unused=True)
    return {"out": out.detach(), **dict(zip(names, found, strict=True))}


def check_close(actual: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Shapes are equal, and so are finite values, to a multiple of their scale."""
    if actual.shape != expected.shape:
        shapes = f"{tuple(actual.shape)}, not {tuple(expected.shape)}"
        raise AssertionError(f"{what} has shape {shapes}")
    check_finite(actual, what)
    if actual.numel() == 0:
        return
    expected = expected.double()
    error = (actual.double() - expected).abs().max() / expected.abs().max().clamp(min=1)
    if error > tolerance:
        raise AssertionError(f"{what} is off by {error:.1e} (allowed {tolerance:.1e})")


def check_same(actual: dict, expected: dict, tolerance: float, what: str) -> None:
    """Outputs and gradients agree, entry by entry."""
    for name, value in expected.items():
        if value is None:
            continue
        part = f"{what}: {'the output' if name == 'out' else f'the gradient of {name}'}"
        if actual[name] is None:
            raise AssertionError(f"{part} is missing")
        check_close(actual[name], value, tolerance, part)


def check_finite(value: Tensor, what: str) -> None:
    if not value.isfinite().all():
        raise AssertionError(f"{what} is not finite")


def check_zero(value: Tensor | None, what: str) -> None:
    """Exactly zero, or None, the gradient of what was not used."""
    if value is not None and (value != 0).any():
        raise AssertionError(f"{what} is not zero")
