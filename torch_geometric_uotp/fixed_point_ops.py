r"""The native operators of Sinkhorn's fixed point: shapes, gradients, and theirs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torch_geometric_uotp import ops
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.operators import check_devices
from torch_geometric_uotp.segments import Segments

Arguments = tuple[Tensor | None, ...]
Portable = Callable[..., Tensor]


def solve(
    scores: Tensor,
    values: Tensor | None,
    segments: Segments,
    coefficients: Coefficients,
    log_p0: Tensor,
    log_q0: Tensor,
    tol: float,
    max_steps: int,
    portable: Portable,
) -> tuple[Tensor, Tensor, Tensor]:
    """Solve each set to its tolerance, and pool, in double precision.

    Args:
        scores (torch.Tensor): X, of shape [N, H, C].
        values (torch.Tensor, optional): What is averaged, of shape [N, H, C],
            where it is not X.
        segments (Segments): The set of each node.
        coefficients (Coefficients): t, r_p and r_q, each of shape [1, H] or
            [1, G, H], t finite.
        log_p0 (torch.Tensor): Log prior over channels, of shape [H, C].
        log_q0 (torch.Tensor): Log prior over nodes, of shape [N, H].
        tol (float): The residual asked for.
        max_steps (int): Passes over a set at most.
        portable (callable): What second derivatives are taken from: the pooled
            values, from all the tensors above in the operator's order, ``tol``,
            ``max_steps`` and b.

    Returns:
        The pooled values [G, H, C], b [N, H] and whether it solves [G, H]. Only
        the pooled values have a gradient.
    """
    ptr, order = ops.layout(segments)
    tensors = (
        scores,
        values,
        ptr,
        order,
        coefficients.t,
        coefficients.r_p,
        coefficients.r_q,
        log_p0,
        log_q0,
    )
    contiguous = (None if tensor is None else tensor.contiguous() for tensor in tensors)
    found: tuple[Tensor, Tensor, Tensor] = FixedPointOfBatch.apply(  # type: ignore[no-untyped-call]
        portable, tol, max_steps, *contiguous
    )
    return found


class FixedPointOfBatch(torch.autograd.Function):
    """The native operator, whose gradient is differentiated on the portable path."""

    @staticmethod
    def forward(
        ctx: Any, portable: Portable, tol: float, max_steps: int, *tensors: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        forward = torch.ops.uotp.fixed_point_forward.default
        pooled, b, solved, _ = forward(*tensors, tol, max_steps)
        ctx.portable, ctx.tol, ctx.max_steps = portable, tol, max_steps
        ctx.save_for_backward(*tensors, pooled, b)
        ctx.mark_non_differentiable(b, solved)
        ctx.set_materialize_grads(False)
        # A copy: what follows may change it in place, and the backward pass reads it.
        return pooled.clone(), b, solved

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *rest: None) -> Arguments:
        *tensors, pooled, b = ctx.saved_tensors
        if grad is None:
            return (None,) * (3 + len(tensors))
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            found = _again(ctx, tensors, b, grad)
        else:
            backward = torch.ops.uotp.fixed_point_backward.default
            x, values, *others = backward(
                grad.contiguous(), *tensors, ctx.tol, ctx.max_steps, pooled, b
            )
            found = (x, values, None, None, *others)
        pairs = zip(tensors, found, strict=True)
        return None, None, None, *(None if t is None else g for t, g in pairs)


def _again(
    ctx: Any, tensors: list[Tensor | None], b: Tensor, grad: Tensor
) -> Arguments:
    """The gradient once more, as a function of everything in it."""
    # Aliases: a tensor given twice must not be differentiated as one.
    aliases = [None if t is None else t.view_as(t) for t in tensors]
    moving = [t for t in aliases if t is not None and t.requires_grad]
    pooled = ctx.portable(*aliases, ctx.tol, ctx.max_steps, b)
    found = iter(torch.autograd.grad(pooled, moving, grad, create_graph=True))
    moves = (t is not None and t.requires_grad for t in aliases)
    return tuple(next(found) if m else None for m in moves)


def _fake_forward(
    x: Tensor, values: Tensor | None, ptr: Tensor, *rest: Any
) -> tuple[Tensor, ...]:
    check_devices({"x": x, "values": values, "ptr": ptr, **_tensors(rest)})
    (nodes, heads, channels), sets = x.shape, ptr.numel() - 1
    return (
        x.new_empty(sets, heads, channels),
        x.new_empty(nodes, heads),
        x.new_empty(sets, heads, dtype=torch.bool),
        x.new_empty(sets, heads, dtype=torch.long),
    )


def _fake_backward(
    grad: Tensor, x: Tensor, values: Tensor | None, *rest: Any
) -> tuple[Tensor, ...]:
    check_devices({"x": x, "grad": grad, "values": values, **_tensors(rest)})
    t, r_p, r_q, log_p0, log_q0 = rest[2:7]
    tensors = (x, values, t, r_p, r_q, log_p0, log_q0)
    return tuple(x.new_empty(0) if t is None else torch.empty_like(t) for t in tensors)


def _tensors(arguments: tuple[Any, ...]) -> dict[str, Tensor]:
    """The tensors among the arguments that follow, by their places."""
    places = enumerate(arguments)
    return {f"{n}": given for n, given in places if isinstance(given, Tensor)}


if ops.AVAILABLE:
    torch.library.register_fake("uotp::fixed_point_forward", _fake_forward)
    torch.library.register_fake("uotp::fixed_point_backward", _fake_backward)
