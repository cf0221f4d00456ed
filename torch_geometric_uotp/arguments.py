r"""What arguments of layers and solvers are checked for."""

from numbers import Integral
from typing import Any


def check_count(name: str, value: Any, least: int = 1) -> None:
    """Check that an argument is a whole number, and large enough.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, Integral):
        raise ValueError(f"'{name}' must be an integer (got {value!r})")
    if value < least:
        raise ValueError(f"'{name}' must be at least {least} (got {value})")
