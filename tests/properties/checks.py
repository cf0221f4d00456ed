"""What properties are stated with: problems to try, and comparisons that are noted."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from hypothesis import given, reject
from hypothesis import strategies as st
from torch import Tensor

from tests.instruction_sets import instruction_sets, kernels_of
from tests.properties.ledger import LEDGER


def for_all(**strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Try a property on problems drawn from strategies, and keep count.

    Each is tried with the kernels of one of the instruction sets.
    """
    kernels = st.sampled_from(instruction_sets() or [""])

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        name = test.__name__.removeprefix("test_").replace("_", " ")

        def tried(kernels: str, **arguments: Any) -> None:
            drawn = (f"{key}={arguments[key]}" for key in strategies)
            used = kernels_of(kernels) if kernels else nullcontext()
            with used, LEDGER.problem(name, ", ".join(drawn)):
                try:
                    test(**arguments)
                except RuntimeWarning as warning:
                    if "steps were not enough" not in str(warning):
                        raise
                    reject()  # there is no solution to compare

        tried.__name__, tried.__doc__ = test.__name__, test.__doc__
        return given(kernels=kernels, **strategies)(tried)

    return decorate


def check(found: Tensor, expected: Tensor, allowed: Tensor | float, what: str) -> None:
    """Two tensors are within a tolerance of each other, and both hold numbers.

    Args:
        found, expected: Of one shape.
        allowed: The largest difference, broadcast; nothing is asked where infinite.
        what: What failures and the report call it.
    """
    assert found.shape == expected.shape, f"{what}: {found.shape}, {expected.shape}"
    assert found.isfinite().all(), f"{what} is not finite: {found}"
    difference = (found.double() - expected.double()).abs()
    ratio = (difference / allowed).masked_fill(difference == 0, 0)
    worst = float(ratio.max()) if ratio.numel() else 0.0
    LEDGER.note(worst, what)
    assert worst <= 1, (
        f"{what} is off by {worst:.3g} times what is allowed: {found}, not {expected}"
    )


def check_same(found: Tensor, expected: Tensor, what: str) -> None:
    """Two tensors hold the same numbers, and none at the same places."""
    same = (found == expected) | (found.isnan() & expected.isnan())
    assert found.shape == expected.shape, f"{what}: {found.shape}, {expected.shape}"
    assert same.all(), f"{what}: {found}, not {expected}"
