r"""What arguments of layers, functions and solvers are checked for."""

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
# More than any layer has of steps, heads or channels, and few enough for int64.
MOST = 2**31 - 1


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Check that an argument is a whole number, and neither too small nor too large.

    Raises:
        ValueError: If it is not.
    """
    check_integer(name, value)
    if not torch.compiler.is_compiling() and not least <= value <= MOST:
        bound = f"at least {least}" if value < least else f"at most {MOST}"
        raise ValueError(f"'{name}' must be {bound} (got {value})")


def check_integer(name: str, value: Any) -> None:
    """Check that an argument is a whole number.

    Raises:
        ValueError: If it is not.
    """
    if type(value) is int:
        return
    # A symbol of one, while a program is exported.
    whole = isinstance(value, (Integral, torch.SymInt))
    if not whole or isinstance(value, bool):
        raise ValueError(f"'{name}' must be an integer (got {value!r})")


def check_flag(name: str, value: Any) -> None:
    """Check that an argument is True or False.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, bool):
        raise ValueError(f"'{name}' must be True or False (got {value!r})")


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Check that an argument is one of some names.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"'{name}' must be one of {sorted(choices)} (got {value!r})")


def check_number(name: str, value: Any) -> None:
    """Check that an argument is a real number of Python or NumPy.

    Raises:
        ValueError: If it is not.
    """
    if not is_number(value):
        raise ValueError(f"'{name}' must be a number (got {value!r})")


def check_positive(name: str, value: Any) -> None:
    """Check that an argument is a positive and finite number.

    Raises:
        ValueError: If it is not.
    """
    check_number(name, value)
    if not 0 < value < math.inf:
        raise ValueError(f"'{name}' must be positive and finite (got {value})")


def is_number(value: Any) -> bool:
    """Whether a value is a real number of Python or NumPy, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_tensor(name: str, value: Any) -> None:
    """Check that an argument is a tensor that holds a number at each of its places.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, Tensor):
        raise ValueError(f"'{name}' must be a torch.Tensor (got {kind_of(value)})")
    if value.layout != torch.strided or value.is_nested or value.is_quantized:
        raise ValueError(
            f"'{name}' must be a dense tensor, neither sparse, nested nor quantized "
            f"(got {kind_of(value)})"
        )


def check_features(name: str, value: Any) -> None:
    """Check that an argument is a dense tensor of a type that layers compute in.

    Raises:
        ValueError: If it is not.
    """
    check_tensor(name, value)
    if value.dtype not in FLOATS:
        raise ValueError(
            f"'{name}' must be of floating-point type: float64, float32, bfloat16 or "
            f"float16 (got {value.dtype})"
        )


def check_real(name: str, value: Any) -> None:
    """Check that an argument is a dense tensor of real numbers or truth values.

    Raises:
        ValueError: If it is not.
    """
    check_tensor(name, value)
    if value.is_complex():
        raise ValueError(f"'{name}' must be real (got {value.dtype})")


def check_integers(name: str, value: Any) -> None:
    """Check that an argument is a vector of integers.

    Raises:
        ValueError: If it is not.
    """
    check_tensor(name, value)
    if value.dim() != 1 or value.dtype not in INTEGERS:
        raise ValueError(
            f"'{name}' must be a vector of integers (got shape {tuple(value.shape)} "
            f"and {value.dtype}): int64, int32, int16, int8 or uint8"
        )


def check_device(name: str, tensor: Tensor, other: str, device: torch.device) -> None:
    """Check that a tensor is on the device of another.

    Raises:
        ValueError: If it is not.
    """
    if tensor.device != device:
        raise ValueError(
            f"'{name}' must be on the device of '{other}' (got {tensor.device} and "
            f"{device}): move one of them with .to(device)"
        )


def kind_of(value: Any) -> str:
    """What a value is, in a few words."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    if value.is_nested:
        return "a nested tensor"
    return f"a tensor of {value.dtype} and {value.layout}"


def table_of(name: str, value: Any) -> Tensor:
    """Numbers that a layer keeps a copy of, in float64 and on the CPU.

    Args:
        name (str): What errors call them.
        value (Any): A number, a dense tensor of real numbers, or what can be made
            one: a list of numbers or an array.

    Raises:
        ValueError: If they are something else, or a parameter, which would not learn.
    """
    if isinstance(value, Tensor):
        check_constant(name, value)
        given = value
    else:
        given = _as_tensor(name, value)
    if given.dtype == torch.bool or given.is_complex():
        raise ValueError(f"'{name}' must be of real numbers (got {value!r})")
    return given.detach().to("cpu", torch.float64, copy=True)


def check_constant(name: str, value: Any) -> None:
    """Check that an argument is a dense tensor of known values, and no parameter.

    Raises:
        ValueError: If it is not.
    """
    check_real(name, value)
    if value.is_meta:
        raise ValueError(f"'{name}' must hold values (got a tensor on meta)")
    if isinstance(value, Parameter):
        raise ValueError(
            f"'{name}' is copied, so that a parameter given for it would not learn "
            "(got a torch.nn.Parameter): give its .detach()"
        )


def _as_tensor(name: str, value: Any) -> Tensor:
    try:
        given = torch.as_tensor(value, device="cpu")
        if given.is_floating_point():
            # Not by way of the default type, which would round.
            given = torch.as_tensor(value, dtype=torch.float64, device="cpu")
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(
            f"'{name}' must be a number or a tensor of numbers (got {value!r})"
        ) from error
    return given
