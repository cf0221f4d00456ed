r"""What surrounds a call: a compiler, or a transform that differentiates or batches."""

import torch
from torch.autograd import forward_ad


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


def values_known() -> bool:
    """Whether Python may decide by what a tensor holds."""
    return not (torch.compiler.is_compiling() or torch_alone())
