r"""What surrounds a call: a compiler, a tracer, or a transform of a function."""

import torch
from torch import Tensor
from torch._C._functorch import TransformType, get_interpreter_stack
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import ProxyTorchDispatchMode
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

FUNCTIONALIZE = TransformType.Functionalize
TRACERS = (FakeTensorMode, ProxyTorchDispatchMode)


def torch_alone() -> bool:
    """Whether :mod:`torch.func` or forward-mode differentiation sees the call.

    They know what to make of PyTorch's operators, and of no others.
    """
    active: bool = torch._C._are_functorch_transforms_active()
    return active or forward_ad._current_level >= 0


def transformed() -> bool:
    """The same, where no compiler sees the call too.

    One would refuse what an autograd function needs for a transform.
    """
    return not torch.compiler.is_compiling() and torch_alone()


def functionalized(*tensors: Tensor) -> bool:
    """Whether :func:`torch.func.functionalize` alone sees a call without gradients.

    It knows no autograd functions of Python.
    """
    levels = get_interpreter_stack()
    if levels is None or any(level.key() != FUNCTIONALIZE for level in levels):
        return False
    moving = any(tensor.requires_grad for tensor in tensors)
    return not (moving and torch.is_grad_enabled())


def traced(*tensors: Tensor) -> bool:
    """Whether tensors have shapes alone: on meta, fake, or in ``make_fx``."""
    if torch._C._len_torch_dispatch_stack() > 0:
        modes = _get_current_dispatch_mode_stack()
        if any(isinstance(mode, TRACERS) for mode in modes):
            return True
    return any(tensor.is_meta or isinstance(tensor, FakeTensor) for tensor in tensors)


def values_known(*tensors: Tensor) -> bool:
    """Whether Python may decide by what tensors, these among them, hold."""
    return not (torch.compiler.is_compiling() or torch_alone() or traced(*tensors))
