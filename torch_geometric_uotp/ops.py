r"""The native library's operators, where it is there: load, shapes, gradients.

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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.projection import GAIN, Projection
from torch_geometric_uotp.segments import Segments

LIBRARY = Path(__file__).with_name("_native.so")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)

# Of an operator's arguments the first are tensors: x, values, ptr, order, t, r_p,
# r_q, log_p0, log_q0.
TENSORS = 9

Portable = Callable[..., Tensor]
Gradients = tuple[Tensor | None, ...]

log = logging.getLogger(__name__)


def backend() -> str:
    """Which path runs on a CPU: ``portable``, or ``native`` and for which CPU."""
    if AVAILABLE:
        return f"native ({torch.ops.uotp.instruction_set()})"
    return "portable"


def takes(x: Tensor) -> bool:
    """Whether the native kernels compute on tensors like x."""
    return AVAILABLE and x.device.type == "cpu" and x.dtype in DTYPES


def layout(segments: Segments) -> tuple[Tensor, Tensor | None]:
    """Boundaries [G + 1] of the sorted batch, and the node [N] at each place.

    Nodes that are sorted already need no places.
    """
    if segments.ptr is not None:
        return segments.ptr.contiguous(), None
    ptr, order = torch.ops.uotp.layout(segments.index.contiguous(), segments.num_sets)
    return ptr, order


def sinkhorn(
    scores: Tensor,
    values: Tensor | None,
    segments: Segments,
    coefficients: Coefficients,
    log_p0: Tensor | None,
    log_q0: Tensor | None,
    num_steps: int,
) -> Tensor:
    """Run Sinkhorn, and pool.

    Args:
        scores (torch.Tensor): X, of shape [N, H, C].
        values (torch.Tensor, optional): What is averaged, of shape [N, H, C],
            where it is not X.
        segments (Segments): The set of each node.
        coefficients (Coefficients): t, r_p and r_q, each of shape [rows, H] or
            [rows, G, H], t finite. The last row serves the steps beyond it.
        log_p0 (torch.Tensor, optional): Log prior over channels, of shape
            [H, C]. (default: uniform)
        log_q0 (torch.Tensor, optional): Log prior over the nodes of each set,
            of shape [N, H]. (default: uniform)
        num_steps (int): K.

    Returns:
        The pooled values, of shape [G, H, C], in float32 or better, the type of
        the coefficients and priors.
    """
    ptr, order = layout(segments)
    projection = coefficients.projection
    arguments = (
        scores.contiguous(),
        None if values is None else values.contiguous(),
        ptr,
        order,
        coefficients.t.contiguous(),
        coefficients.r_p.contiguous(),
        coefficients.r_q.contiguous(),
        None if log_p0 is None else log_p0.contiguous(),
        None if log_q0 is None else log_q0.contiguous(),
        num_steps,
        0.0 if projection is None else GAIN,
        0.0 if projection is None else projection.ceiling,
    )
    pooled: Tensor
    if torch.compiler.is_compiling():
        pooled = torch.ops.uotp.sinkhorn_forward(*arguments)[0]
    else:
        pooled = Eager.apply(*arguments)  # type: ignore[no-untyped-call]
    return pooled


class Eager(torch.autograd.Function):
    """The operator, without what an operator's registered gradient costs a call.

    That machinery takes as long as a small batch. Compilers and exporters need
    the operator itself.
    """

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        output = torch.ops.uotp.sinkhorn_forward.default(*arguments)
        _keep(ctx, arguments, output)
        pooled: Tensor = output[0]
        return pooled

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> Gradients:
        return _backward(ctx, grad)


def tables(
    t: Tensor, r_p: Tensor, r_q: Tensor, gain: float, ceiling: float
) -> Coefficients:
    """The coefficients an operator was given."""
    projection = Projection(ceiling) if gain else None
    return Coefficients(t, r_p, r_q, projection=projection)


def differentiate_sinkhorn(portable: Portable) -> None:
    """Give the operator its gradient, and that gradient one of its own.

    Args:
        portable (callable): What gradients of gradients are taken from: the
            pooled values, from the operator's own arguments.
    """
    if not AVAILABLE:
        return
    torch.library.register_autograd(
        "uotp::sinkhorn_forward", _backward, setup_context=_keep_for_backward
    )

    def twice(ctx: Any, *grads: Tensor) -> Gradients:
        return _differentiate_again(portable, ctx.saved_tensors, ctx.options, grads)

    torch.library.register_autograd(
        "uotp::sinkhorn_backward", twice, setup_context=_keep_for_second
    )


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
    runs, wanted = torch.ops.uotp.instruction_set(), os.environ.get("UOTP_ISA")
    if wanted and wanted != runs:
        raise ValueError(
            "UOTP_ISA must be 'avx512', 'avx2' or 'baseline', and one that this "
            f"machine has (got '{wanted}', where '{runs}' would run)"
        )
    log.debug("on native kernels: %s", runs)
    return True


# ---- shapes


def _compute_type(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _fake_layout(index: Tensor, num_sets: int) -> tuple[Tensor, Tensor]:
    return index.new_empty(num_sets + 1), torch.empty_like(index)


def _fake_forward(
    x: Tensor, values: Tensor | None, ptr: Tensor, *rest: Any
) -> tuple[Tensor, ...]:
    (nodes, heads, channels), sets, num_steps = x.shape, ptr.numel() - 1, rest[-3]
    dtype = _compute_type(x)
    return (
        x.new_empty(sets, heads, channels, dtype=dtype),
        x.new_empty(nodes, heads, dtype=dtype),
        x.new_empty(num_steps, sets, heads, channels, dtype=dtype),
        x.new_empty(sets, heads, dtype=dtype),
    )


def _fake_backward(
    grad: Tensor,
    x: Tensor,
    values: Tensor | None,
    ptr: Tensor,
    order: Tensor | None,
    t: Tensor,
    r_p: Tensor,
    r_q: Tensor,
    log_p0: Tensor | None,
    log_q0: Tensor | None,
    *rest: Any,
) -> tuple[Tensor, ...]:
    def like(tensor: Tensor | None) -> Tensor:
        return t.new_empty(0) if tensor is None else torch.empty_like(tensor)

    return tuple(like(tensor) for tensor in (x, values, t, r_p, r_q, log_p0, log_q0))


# ---- gradients


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    ctx.mark_non_differentiable(*output[1:])
    _keep(ctx, inputs, output)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    tensors, ctx.options = inputs[:TENSORS], inputs[TENSORS:]
    pooled, _, log_sums, centre = output
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors, pooled, log_sums, centre)


def _backward(ctx: Any, grad: Tensor | None, *rest: None) -> Gradients:
    options = (None,) * len(ctx.options)
    if grad is None:
        return (None,) * TENSORS + options
    *tensors, pooled, log_sums, centre = ctx.saved_tensors
    grads = torch.ops.uotp.sinkhorn_backward.default(
        grad.contiguous(), *tensors, *ctx.options, pooled, log_sums, centre
    )
    return _in_order(tensors, grads) + options


def _in_order(tensors: Any, grads: Any) -> Gradients:
    """Gradients of the tensors an operator takes."""
    x, values, t, r_p, r_q, log_p0, log_q0 = grads
    full = (x, values, None, None, t, r_p, r_q, log_p0, log_q0)
    return tuple(
        None if tensor is None else grad
        for tensor, grad in zip(tensors, full, strict=True)
    )


def _keep_for_second(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    grad, *rest = inputs
    ctx.options = rest[TENSORS:-3]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(grad, *rest[:TENSORS])


def _differentiate_again(
    portable: Portable,
    saved: tuple[Tensor | None, ...],
    options: Sequence[Any],
    grads: tuple[Tensor | None, ...],
) -> Gradients:
    """The gradient of the gradient: of ``grads``, what ``_backward`` returned."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # Aliases: a tensor given twice must not be differentiated as one.
        grad, *tensors = (None if t is None else t.view_as(t) for t in saved)
        pooled = portable(*tensors, *options)
        moving = _moving(tensors)
        first = torch.autograd.grad(
            pooled, moving, grad, create_graph=True, allow_unused=True
        )
        received = _of_moving(tensors, _in_order(tensors, grads))
        pairs = [
            (value, outer)
            for value, outer in zip(first, received, strict=True)
            if value is not None and value.requires_grad and outer is not None
        ]
        wanted = _moving([grad, *tensors])
        second = torch.autograd.grad(
            [value for value, _ in pairs],
            wanted,
            [outer for _, outer in pairs],
            create_graph=create_graph,
            allow_unused=True,
        )
    found = iter(second)
    every = [next(found) if _moves(t) else None for t in (grad, *tensors)]
    return (*every, *(None for _ in options), None, None, None)


def _moves(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.requires_grad


def _moving(tensors: list[Tensor | None]) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor is not None and _moves(tensor)]


def _of_moving(tensors: list[Tensor | None], grads: Gradients) -> list[Tensor | None]:
    pairs = zip(tensors, grads, strict=True)
    return [grad for tensor, grad in pairs if _moves(tensor)]


AVAILABLE = _load()
if AVAILABLE:
    torch.library.register_fake("uotp::layout", _fake_layout)
    torch.library.register_fake("uotp::sinkhorn_forward", _fake_forward)
    torch.library.register_fake("uotp::sinkhorn_backward", _fake_backward)
