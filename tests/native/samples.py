"""Samples of the operators' arguments, and memory that holds NaN."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torch_geometric_uotp import ops
from torch_geometric_uotp.operators import LAYOUT
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.solvers import badmm, sinkhorn

SIZES = {
    "ragged": (3, 0, 1, 7),
    "one": (1,),
    "empty": (0, 0),
    "no sets": (),
    "large": (70, 300),
}
PRIORS = {"uniform": False, "given": True}
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@contextmanager
def fresh_memory_of_nan() -> Iterator[None]:
    """Whatever an operator leaves unwritten is NaN, or the largest integer."""
    before = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.utils.deterministic.fill_uninitialized_memory = filled


def leave_nan_behind() -> None:
    """Free memory of NaN, which operators in C++ are given next.

    They allocate past what fills the memory of PyTorch's own.
    """
    for size in (*range(8, 512, 8), *range(512, 1 << 14, 512)):
        torch.full((size,), torch.nan)


@dataclass(frozen=True)
class Sample:
    """A solver's operator, what follows its tensors, and the portable path."""

    name: str
    tensors: tuple[str, ...]
    options: tuple[Any, ...]
    kept: tuple[int, ...]
    portable: Callable[..., Tensor] | None

    def forward(self, named: dict[str, Tensor]) -> tuple[Tensor, ...]:
        operator = getattr(torch.ops.uotp, f"{self.name}_forward").default
        leave_nan_behind()
        found: tuple[Tensor, ...] = operator(*self.given(named), *self.options)
        return found

    def backward(
        self, grad: Tensor, named: dict[str, Tensor], outputs: tuple[Tensor, ...]
    ) -> dict[str, Tensor]:
        operator = getattr(torch.ops.uotp, f"{self.name}_backward").default
        kept = [outputs[i] for i in self.kept]
        leave_nan_behind()
        found = operator(grad, *self.given(named), *self.options, *kept)
        moving = [name for name in self.tensors if name not in LAYOUT]
        return dict(zip(moving, found, strict=True))

    def given(self, named: dict[str, Tensor]) -> list[Tensor | None]:
        return [named.get(name) for name in self.tensors]


STEPS = (3, 0.0, 0.0)
FIXED = ops.SINKHORN.tensors
SINKHORN = Sample("sinkhorn", FIXED, STEPS, (0, 2, 3), sinkhorn._pool_portably)
BADMM = [
    Sample(
        "badmm",
        ops.BADMM.tensors,
        (*STEPS, quadratic),
        ops.BADMM.kept,
        badmm._pool_portably,
    )
    for quadratic in (False, True)
]
UNROLLED = [SINKHORN, *BADMM]
FIXED_POINT = Sample("fixed_point", FIXED, (1e-12, 1000), (0, 1), None)
SAMPLES = [*UNROLLED, FIXED_POINT]


def draw(
    sizes: tuple[int, ...],
    priors: bool = False,
    dtype: torch.dtype = torch.float64,
    heads: int = 2,
    channels: int = 5,
) -> dict[str, Tensor]:
    """Tensors of an operator by name, those that are computed with in their type."""
    counts = torch.tensor(sizes, dtype=torch.long)
    nodes, computed = int(counts.sum()), torch.promote_types(dtype, torch.float32)
    named = {
        "x": torch.randn(nodes, heads, channels, dtype=torch.double).to(dtype),
        "ptr": torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
        "order": torch.randperm(nodes),
        "t": torch.rand(1, heads, dtype=torch.double).to(computed),
        "r_p": torch.rand(1, heads, dtype=torch.double).to(computed),
        "r_q": torch.rand(1, heads, dtype=torch.double).to(computed),
        "rho": 1 + torch.rand(1, heads, dtype=torch.double).to(computed),
    }
    if not priors:
        return named
    segments = Segments.from_places(named["ptr"], named["order"], nodes)
    log_q0 = torch.randn(nodes, heads, dtype=torch.double)
    log_q0 = log_q0 - segments.gather(segments.logsumexp(log_q0))
    log_p0 = torch.randn(heads, channels, dtype=torch.double).log_softmax(-1)
    values = torch.randn_like(named["x"])
    more = {"values": values, "log_p0": log_p0.to(computed)}
    return named | more | {"log_q0": log_q0.to(computed)}


def reference(sample: Sample, named: dict[str, Tensor], grad: Tensor):
    """The portable path's output and gradients, in float64."""
    doubles = {
        name: t.double().requires_grad_() if t.is_floating_point() else t
        for name, t in named.items()
    }
    moving = [n for n in sample.tensors if n in named and n not in LAYOUT]
    pooled = sample.portable(*sample.given(doubles), *sample.options)
    found = torch.autograd.grad(
        pooled,
        [doubles[name] for name in moving],
        grad.double(),
        allow_unused=True,
        materialize_grads=True,
    )
    return pooled, dict(zip(moving, found, strict=True))
