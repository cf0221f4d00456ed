r"""The native library's operators, where it is there: which path runs, and calls.

The library (``csrc/``) solves each set in a core's cache, on CPUs. What it does
not take (other devices, infinite t, plans) and everything where it is missing
runs on PyTorch's operators: the *portable* path. Two environment variables
choose for a whole process:

- ``UOTP_BACKEND``: ``portable`` leaves the library alone, ``native`` makes it an
  error not to have it.
- ``UOTP_ISA``: ``avx512``, ``avx2`` or ``baseline``, the instruction set of its
  kernels, among those the machine has.
"""

import logging
import os
import warnings
from pathlib import Path

import torch
from torch import Tensor

from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.operators import Operator, Portable
from torch_geometric_uotp.projection import GAIN
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.sources import digest
from torch_geometric_uotp.transforms import torch_alone

LIBRARY = Path(__file__).with_name("_native.so")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)

log = logging.getLogger(__name__)


def backend() -> str:
    """Which path runs on a CPU: ``portable``, or ``native`` and for which CPU."""
    if AVAILABLE:
        return f"native ({torch.ops.uotp.instruction_set()})"
    return "portable"


def takes(x: Tensor) -> bool:
    """Whether the native kernels compute on tensors like x, here."""
    known = AVAILABLE and x.device.type == "cpu" and x.dtype in DTYPES
    return known and not torch_alone()


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


def _load() -> bool:
    choice = os.environ.get("UOTP_BACKEND", "")
    if choice not in ("", "portable", "native"):
        raise ValueError(
            f"UOTP_BACKEND must be 'portable' or 'native', or unset (got '{choice}')"
        )
    if choice == "portable":
        log.debug("UOTP_BACKEND=portable: on PyTorch's operators")
        return False
    try:
        torch.ops.load_library(LIBRARY)  # type: ignore[no-untyped-call]
    except OSError as error:
        if choice == "native":
            raise RuntimeError(
                "UOTP_BACKEND=native, but the native library was not built or does "
                "not load; install with a C++ compiler and --no-build-isolation"
            ) from error
        log.debug("on PyTorch's operators, without the native library: %s", error)
        return False
    if not _is_of_these_sources():
        text = (
            f"'{LIBRARY}' was built from other sources than those beside it: install "
            "the package again, with a C++ compiler and --no-build-isolation"
        )
        if choice == "native":
            raise RuntimeError(text)
        warnings.warn(f"{text}. PyTorch's operators run instead.", stacklevel=2)
        return False
    runs, wanted = torch.ops.uotp.instruction_set(), os.environ.get("UOTP_ISA")
    if wanted and wanted != runs:
        raise ValueError(
            "UOTP_ISA must be 'avx512', 'avx2' or 'baseline', and one that this "
            f"machine has (got '{wanted}', where '{runs}' would run)"
        )
    log.debug("on native kernels: %s", runs)
    return True


def _is_of_these_sources() -> bool:
    made_of = digest()
    if made_of is None:
        return True
    return hasattr(torch.ops.uotp, "sources") and torch.ops.uotp.sources() == made_of


def _fake_layout(index: Tensor, num_sets: int) -> tuple[Tensor, Tensor]:
    return index.new_empty(num_sets + 1), torch.empty_like(index)


AVAILABLE = _load()
if AVAILABLE:
    torch.library.register_fake("uotp::layout", _fake_layout)
