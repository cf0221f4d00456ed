r"""Computing in another type than that of the input."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch.nn.functional import linear

from torch_geometric_uotp.arguments import check_device, check_real
from torch_geometric_uotp.transforms import functionalized, transformed


class Promote(torch.autograd.Function):
    """Convert to another type; on the way back, saturate instead of overflowing.

    At extreme coefficients and features a finite gradient can lie beyond the
    range of float16. As an infinity it would wipe out the whole model.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.dtype = x.dtype
        return x.to(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        largest = min(torch.finfo(ctx.dtype).max, torch.finfo(grad.dtype).max)
        return grad.clamp(-largest, largest).to(ctx.dtype), None


class PromoteTransformed(torch.autograd.Function):
    """The same for :mod:`torch.func`: slower to call, and no matter for compilers."""

    generate_vmap_rule = True
    backward = staticmethod(Promote.backward)

    @staticmethod
    def forward(x: Tensor, dtype: torch.dtype) -> Tensor:
        return x.to(dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.dtype, ctx.wider = inputs[0].dtype, output.dtype

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        return tangent.to(ctx.wider)


def promote(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert ``x`` to a type, mostly a wider one, and leave it alone if it is."""
    if x.dtype == dtype:
        return x
    if transformed() and functionalized(x):
        return x.to(dtype)
    function = PromoteTransformed if transformed() else Promote
    return function.apply(x, dtype)  # type: ignore[no-any-return, no-untyped-call]


def linear_in_type(module: Module, x: Tensor) -> Tensor:
    """What a linear layer makes of ``x``, in the type of ``x``.

    One that is nothing but linear is computed in that type. Any other, to which
    something is hooked or adapted, is called in the type of its own weights.
    """
    hooked = module._forward_hooks or module._forward_pre_hooks
    if type(module) is not Linear or hooked or module.weight.dtype == x.dtype:
        return applied(module, x, x.dtype)
    bias = None if module.bias is None else promote(module.bias, x.dtype)
    return linear(x, promote(module.weight, x.dtype), bias)


def outside_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Switch autocast off, where it is on: the switch costs a small batch time.

    What is compiled or exported may be called within autocast later. On meta there is
    no autocast.
    """
    if device.type == "meta":
        return nullcontext()
    if torch.compiler.is_compiling() or torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


class Promoting(Module):
    """A module that computes in the type of its input, whatever that of its weights.

    Weights in half precision so cost digits of their own, and none of the result.
    """


def applied(
    module: Module, x: Tensor, dtype: torch.dtype, *arguments: object
) -> Tensor:
    """What a module makes of ``x``, in ``dtype``.

    A :class:`Promoting` module computes in ``dtype``. Any other one, such as a
    plain :class:`torch.nn.Linear`, is given ``x`` in the type of its own weights,
    since it could not be called with another.
    """
    found = _called(module, promote(x, _wanted(module, dtype)), *arguments)
    return promote(found, dtype)


def _called(module: Module, x: Tensor, *arguments: object) -> Tensor:
    """What a module makes of ``x``; an error says where weights are elsewhere."""
    if torch.compiler.is_compiling():
        return module(x, *arguments)  # type: ignore[no-any-return]
    name = type(module).__name__
    if not x.is_meta and not _may_move(module):
        # PyTorch may multiply with what has no values, and return whatever there is.
        _check_weights(module, x.device, only_meta=True)
    try:
        found: Tensor = module(x, *arguments)
    except RuntimeError:
        _check_weights(module, x.device)
        raise
    check_real(f"the output of {name}", found)
    check_device(f"the output of {name}", found, "x", x.device)
    return found


def _may_move(module: Module) -> bool:
    """Whether a hook, or a forward pass put in place, may bring weights to x."""
    inside = module.modules()
    return any(part._forward_pre_hooks or "forward" in vars(part) for part in inside)


def _check_weights(
    module: Module, device: torch.device, only_meta: bool = False
) -> None:
    for part in module.modules():
        for weight in (*part._parameters.values(), *part._buffers.values()):
            if weight is not None and (weight.is_meta or not only_meta):
                name = f"a weight of {type(part).__name__}"
                check_device(name, weight, "x", device)


def _wanted(module: Module, dtype: torch.dtype) -> torch.dtype:
    """The type in which a module takes its input."""
    if isinstance(module, Promoting):
        return dtype
    for parameter in module.parameters():
        if parameter.is_floating_point():
            return parameter.dtype
    return dtype
