r"""The native library's operators, where it is there: which path runs, and calls.

The library (``csrc/``) solves each set in a core's cache, on CPUs. What it does
not take (other devices, infinite t, plans) and everything where it is missing
runs on PyTorch's operators: the *portable* path. Two environment variables
choose for a whole process:

- ``UOTP_BACKEND``: ``portable`` leaves the library alone, ``native`` makes it an
  error not to have it. Where it is unset, and the library missing, the first
  computation on a CPU warns of it.
- ``UOTP_ISA``: ``avx512``, ``avx2`` or ``baseline``, the instruction set of its
  kernels, among those the machine has.
"""

from pathlib import Path

import torch
from torch import Tensor

from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.library import load, warn_without
from torch_geometric_uotp.operators import Operator, Portable
from torch_geometric_uotp.projection import GAIN
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.transforms import torch_alone

LIBRARY = Path(__file__).with_name("_native.so")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def backend() -> str:
    """What runs on a CPU: ``native`` and its kernels' CPU, or ``portable`` and why."""
    if AVAILABLE:
        return f"native ({torch.ops.uotp.instruction_set()})"
    return f"portable ({REASON})"


def takes(x: Tensor) -> bool:
    """Whether the native kernels compute on tensors like x, here."""
    if x.device.type != "cpu" or x.dtype not in DTYPES or torch_alone():
        return False
    if not AVAILABLE:
        warn_without(LIBRARY, REASON, x)
    return AVAILABLE


def layout(segments: Segments) -> tuple[Tensor, Tensor | None]:
    """Boundaries [G + 1] of the sorted batch, and the node [N] at each place.

    Nodes that are sorted already need no places.
    """
    if segments.ptr is not None:
        return segments.ptr.contiguous(), None
    ptr, order = torch.ops.uotp.layout(segments.index.contiguous(), segments.num_sets)
    return ptr, order


TABLES = ("t", "r_p", "r_q", "rho")

SINKHORN = Operator(
    "sinkhorn",
    ("x", "values", "ptr", "order", "t", "r_p", "r_q", "log_p0", "log_q0"),
    kept=(0, 2, 3),
    shapes=lambda n, g, h, c, k: ((g, h, c), (n, h), (k, g, h, c), (g, h)),
)
BADMM = Operator(
    "badmm",
    ("x", "values", "ptr", "order", "t", "r_p", "r_q", "rho", "log_p0", "log_q0"),
    kept=(0, 1, 2, 3),
    shapes=lambda n, g, h, c, k: (
        (g, h, c),
        (k + 1, g, h, c),
        (k - 1, n, h),
        (k - 1, g, h),
    ),
)


def pool(
    operator: Operator,
    scores: Tensor,
    values: Tensor | None,
    segments: Segments,
    coefficients: Coefficients,
    log_p0: Tensor | None,
    log_q0: Tensor | None,
    *options: int | bool,
) -> Tensor:
    """Run a solver, and pool.

    Args:
        operator (Operator): :data:`SINKHORN` or :data:`BADMM`.
        scores (torch.Tensor): X, of shape [N, H, C].
        values (torch.Tensor, optional): What is averaged, of shape [N, H, C],
            where it is not X.
        segments (Segments): The set of each node.
        coefficients (Coefficients): t, r_p and r_q (and, for BADMM, rho), each of
            shape [rows, H] or [rows, G, H], t finite. The last row serves the
            steps beyond it.
        log_p0 (torch.Tensor, optional): Log prior over channels, of shape
            [H, C]. (default: uniform)
        log_q0 (torch.Tensor, optional): Log prior over the nodes of each set,
            of shape [N, H]. (default: uniform)
        *options: K and, for BADMM, whether the regulariser is quadratic.

    Returns:
        The pooled values, of shape [G, H, C], in float32 or better, the type of
        the coefficients and priors.
    """
    ptr, order = layout(segments)
    projection, (num_steps, *rest) = coefficients.projection, options
    names = [name for name in operator.tensors if name in TABLES]
    return operator(
        scores.contiguous(),
        None if values is None else values.contiguous(),
        ptr,
        order,
        *(getattr(coefficients, name).contiguous() for name in names),
        None if log_p0 is None else log_p0.contiguous(),
        None if log_q0 is None else log_q0.contiguous(),
        num_steps,
        0.0 if projection is None else GAIN,
        0.0 if projection is None else projection.ceiling,
        *rest,
    )


def register(operator: Operator, portable: Portable) -> None:
    """Give an operator its shapes and gradients, if it is there.

    Args:
        operator (Operator): :data:`SINKHORN` or :data:`BADMM`.
        portable (callable): See :meth:`Operator.register`.
    """
    if AVAILABLE:
        operator.register(portable)


def _fake_layout(index: Tensor, num_sets: int) -> tuple[Tensor, Tensor]:
    return index.new_empty(num_sets + 1), torch.empty_like(index)


REASON = load(LIBRARY)
AVAILABLE = REASON is None
if AVAILABLE:
    torch.library.register_fake("uotp::layout", _fake_layout)
