r"""What the native operators of all solvers share: shapes, gradients, and theirs."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torch_geometric_uotp.arguments import check_device

Portable = Callable[..., Tensor]
Gradients = tuple[Tensor | None, ...]
Shape = tuple[int, ...]

LAYOUT = ("ptr", "order")


@dataclass(frozen=True)
class Operator:
    r"""``uotp::NAME_forward``, whose first output is pooled, and its gradient.

    Args:
        name (str): NAME.
        tensors (tuple): The names of its first arguments, those that are
            tensors; ``x`` is the first. Numbers follow, ``num_steps`` first.
        kept (tuple): Which outputs ``uotp::NAME_backward`` needs. It takes the
            gradient of the pooled values, the arguments, and these; it gives
            the gradient of each tensor but ``ptr`` and ``order``.
        shapes (callable): The shapes of the outputs, from N, G, H, C and K.
    """

    name: str
    tensors: tuple[str, ...]
    kept: tuple[int, ...]
    shapes: Callable[[int, int, int, int, int], tuple[Shape, ...]]

    def __call__(self, *arguments: Any) -> Tensor:
        """The pooled values."""
        pooled: Tensor
        if torch.compiler.is_compiling():
            pooled = getattr(torch.ops.uotp, f"{self.name}_forward")(*arguments)[0]
        else:
            pooled = Eager.apply(self, *arguments)  # type: ignore[no-untyped-call]
        return pooled

    def forward(self, *arguments: Any) -> tuple[Tensor, ...]:
        """All outputs."""
        outputs: tuple[Tensor, ...] = getattr(
            torch.ops.uotp, f"{self.name}_forward"
        ).default(*arguments)
        return outputs

    def backward(
        self, saved: Sequence[Tensor], options: Sequence[Any], grad: Tensor | None
    ) -> Gradients:
        """The gradient of each argument, from what :meth:`keep` kept."""
        none = (None,) * len(options)
        if grad is None:
            return (None,) * len(self.tensors) + none
        tensors, kept = saved[: len(self.tensors)], saved[len(self.tensors) :]
        grads = getattr(torch.ops.uotp, f"{self.name}_backward").default(
            grad.contiguous(), *tensors, *options, *kept
        )
        return self.in_order(tensors, grads) + none

    def keep(self, ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep what :meth:`backward` needs."""
        count = len(self.tensors)
        tensors, ctx.options = inputs[:count], inputs[count:]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, *(output[i] for i in self.kept))

    def in_order(self, tensors: Sequence[Tensor | None], grads: Any) -> Gradients:
        """Gradients of the tensors it takes, from those it has one for."""
        found = iter(grads)
        full = [None if name in LAYOUT else next(found) for name in self.tensors]
        return tuple(
            None if tensor is None else grad
            for tensor, grad in zip(tensors, full, strict=True)
        )

    def register(self, portable: Portable) -> None:
        """Give it shapes, its gradient, and that gradient one of its own.

        Args:
            portable (callable): What gradients of gradients are taken from: the
                pooled values, from the operator's own arguments.
        """
        forward, backward = f"uotp::{self.name}_forward", f"uotp::{self.name}_backward"

        def keep(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            ctx.mark_non_differentiable(*output[1:])
            self.keep(ctx, inputs, output)

        def once(ctx: Any, grad: Tensor | None, *rest: None) -> Gradients:
            return self.backward(ctx.saved_tensors, ctx.options, grad)

        def keep_twice(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            grad, *rest = inputs
            count = len(self.tensors)
            ctx.options = rest[count : len(rest) - len(self.kept)]
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(grad, *rest[:count])

        def twice(ctx: Any, *grads: Tensor) -> Gradients:
            return self._again(portable, ctx.saved_tensors, ctx.options, grads)

        torch.library.register_fake(forward, self._fake_forward)
        torch.library.register_fake(backward, self._fake_backward)
        torch.library.register_autograd(forward, once, setup_context=keep)
        torch.library.register_autograd(backward, twice, setup_context=keep_twice)

    def _fake_forward(self, *arguments: Any) -> tuple[Tensor, ...]:
        named = dict(zip(self.tensors, arguments, strict=False))
        check_devices(named)
        x, num_steps = named["x"], arguments[len(self.tensors)]
        dtype = torch.promote_types(x.dtype, torch.float32)
        shapes = self.shapes(
            x.size(0), named["ptr"].numel() - 1, x.size(1), x.size(2), num_steps
        )
        return tuple(x.new_empty(shape, dtype=dtype) for shape in shapes)

    def _fake_backward(self, grad: Tensor, *arguments: Any) -> tuple[Tensor, ...]:
        named = dict(zip(self.tensors, arguments, strict=False))
        kept = arguments[len(arguments) - len(self.kept) :]
        check_devices({**named, "grad": grad, **dict(enumerate(kept))})
        return tuple(
            grad.new_empty(0) if tensor is None else torch.empty_like(tensor)
            for name, tensor in named.items()
            if name not in LAYOUT
        )

    def _again(
        self,
        portable: Portable,
        saved: tuple[Tensor | None, ...],
        options: Sequence[Any],
        grads: tuple[Tensor | None, ...],
    ) -> Gradients:
        """The gradient of the gradient: of ``grads``, what ``backward`` gave."""
        create_graph = torch.is_grad_enabled()
        with torch.enable_grad():
            # Aliases: a tensor given twice must not be differentiated as one.
            grad, *tensors = (None if t is None else t.view_as(t) for t in saved)
            pooled = portable(*tensors, *options)
            first = torch.autograd.grad(
                pooled, _moving(tensors), grad, create_graph=True, allow_unused=True
            )
            received = _of_moving(tensors, self.in_order(tensors, grads))
            pairs = [
                (value, outer)
                for value, outer in zip(first, received, strict=True)
                if value is not None and value.requires_grad and outer is not None
            ]
            second = torch.autograd.grad(
                [value for value, _ in pairs],
                _moving([grad, *tensors]),
                [outer for _, outer in pairs],
                create_graph=create_graph,
                allow_unused=True,
            )
        found = iter(second)
        every = [next(found) if _moves(t) else None for t in (grad, *tensors)]
        return (*every, *(None for _ in options), *(None for _ in self.kept))


class Eager(torch.autograd.Function):
    """An operator, without what an operator's registered gradient costs a call.

    That machinery takes as long as a small batch. Compilers and exporters need
    the operator itself.
    """

    @staticmethod
    def forward(ctx: Any, operator: Operator, *arguments: Any) -> Tensor:
        ctx.operator = operator
        with _unrecorded():
            outputs = operator.forward(*arguments)
        operator.keep(ctx, arguments, outputs)
        # A copy: what follows may change it in place, and the backward pass reads it.
        return outputs[0].clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> Gradients:
        # Not within: a checkpoint runs its forward pass here, which is recorded.
        saved = ctx.saved_tensors
        with _unrecorded():
            return None, *ctx.operator.backward(saved, ctx.options, grad)


def check_devices(named: Mapping[Any, Tensor | None]) -> None:
    """Refuse tensors of an operator on several devices.

    One on meta is enough for a call to end in a function that gives shapes alone,
    and tensors on a CPU to come back with whatever their memory held.

    Raises:
        ValueError: If they are not all where ``x`` is.
    """
    device = named["x"].device  # type: ignore[union-attr]
    for name, tensor in named.items():
        if tensor is not None:
            check_device(str(name), tensor, "x", device)


def _unrecorded() -> AbstractContextManager[object]:
    """Spare operators the search for their gradient, where nothing is recorded.

    It takes a third of their call.
    """
    if torch.is_grad_enabled():
        return nullcontext()
    return torch._C._AutoDispatchBelowAutograd()


def _moves(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.requires_grad


def _moving(tensors: list[Tensor | None]) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor is not None and _moves(tensor)]


def _of_moving(tensors: list[Tensor | None], grads: Gradients) -> list[Tensor | None]:
    pairs = zip(tensors, grads, strict=True)
    return [grad for tensor, grad in pairs if _moves(tensor)]
