"""Loading the native library, and saying why it is not there."""

import logging
import os
import warnings
from pathlib import Path
from threading import Lock

import torch
from torch import Tensor
from torch.nn import Parameter

from torch_geometric_uotp.shared_object import fault
from torch_geometric_uotp.sources import digest

ASKED_FOR = "UOTP_BACKEND=portable"
REMEDY = "install the package again, with a C++ compiler and --no-build-isolation"

log = logging.getLogger(__name__)
_warned = Lock()


def load(path: Path) -> str | None:
    """Load the library, unless ``UOTP_BACKEND`` is ``portable``.

    Returns:
        Why it is not used, or None.

    Raises:
        ValueError: If ``UOTP_BACKEND`` or ``UOTP_ISA`` cannot be what it is.
        RuntimeError: If ``UOTP_BACKEND`` is ``native`` and the library is not there.
    """
    choice = os.environ.get("UOTP_BACKEND", "")
    if choice not in ("", "portable", "native"):
        raise ValueError(
            f"UOTP_BACKEND must be 'portable' or 'native', or unset (got '{choice}')"
        )
    reason = ASKED_FOR if choice == "portable" else _try(path)
    if reason is not None:
        if choice == "native":
            raise RuntimeError(
                f"UOTP_BACKEND=native, but {reason} ('{path}'); {REMEDY}"
            )
        log.debug("on PyTorch's operators: %s", reason)
        return reason
    runs, wanted = torch.ops.uotp.instruction_set(), os.environ.get("UOTP_ISA")
    if wanted and wanted != runs:
        raise ValueError(
            "UOTP_ISA must be 'avx512', 'avx2' or 'baseline', and one that this "
            f"machine has (got '{wanted}', where '{runs}' would run)"
        )
    log.debug("on native kernels: %s", runs)
    return None


def _try(path: Path) -> str | None:
    if not os.path.lexists(path):
        return "the native library was not built"
    reason = fault(path, Path(torch._C.__file__)) or _open(path)
    if reason is not None:
        return f"the native library does not load: {reason}"
    if not _is_of_these_sources():
        return "the native library was built from other sources"
    return None


def _open(path: Path) -> str | None:
    try:
        torch.ops.load_library(path)  # type: ignore[no-untyped-call]
    except OSError as error:
        said = str(error.__cause__ or error)
        return said.removeprefix(f"{os.path.realpath(path)}: ")
    return None


def _is_of_these_sources() -> bool:
    if not hasattr(torch.ops.uotp, "sources"):
        return False
    return digest() in (None, torch.ops.uotp.sources())


def warn_without(path: Path, reason: str | None, x: Tensor) -> None:
    """Say, once in a process, that a computation is slow without the library.

    Args:
        path (Path): Where the library belongs.
        reason (str, optional): Why it is not used, from :func:`load`.
        x (torch.Tensor): What is computed on. Compilers and tracers hand over
            stand-ins for tensors: nothing is said there.
    """
    if torch.compiler.is_compiling() or reason in (None, ASKED_FOR):
        return
    traced = torch._C._len_torch_dispatch_stack() > 0
    if traced or type(x) not in (Tensor, Parameter):
        return
    if _warned.acquire(blocking=False):
        warnings.warn(
            f"{reason} ('{path}'): PyTorch's operators run instead, many times slower "
            f"on a CPU. To have it, {REMEDY}; to do without, set {ASKED_FOR}.",
            stacklevel=2,
        )
