"""The instruction sets that the library's kernels can run with here, one at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from tests import lowered
from torch_geometric_uotp import ops

TESTS = Path(__file__).parent
# Kernels, solvers and layers: what may differ from one instruction set to another.
HELD_TO_EACH = ("native", "solvers", "aggr")
# These compile the kernels' functions themselves, for each set, or choose one.
OWN_CHOICE = {"isa", "elementary", "driver", "path"}


def instruction_sets() -> list[str]:
    """Those that run on this machine, the one in use first; none without the library.

    Where AVX-512 is missing its code runs too, if it was built for that.
    """
    if not ops.AVAILABLE:
        return []
    used, able = torch.ops.uotp.instruction_set(), torch.ops.uotp.instruction_sets()
    names = able.split(",")
    if "avx512" not in names and lowered.library().exists():
        names.append(lowered.NAME)
    return sorted(names, key=lambda name: name != used)


@contextmanager
def kernels_of(name: str) -> Iterator[None]:
    """Run the kernels that are compiled for an instruction set."""
    before = torch.ops.uotp.instruction_set()
    _use(name)
    try:
        yield
    finally:
        _use(before)


def _use(name: str) -> None:
    if name == lowered.NAME:
        torch.ops.uotp.use_kernels_of(str(lowered.library()))
    else:
        assert torch.ops.uotp.use_instruction_set(name), f"this machine has no {name}"


def repeats(item: pytest.Item) -> bool:
    """Whether a test of the portable path would run once more, with another set."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    others = instruction_sets()[1:]
    return params.get("native") is False and params.get("instruction_set") in others


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Have a test of kernels, solvers or layers run with each instruction set."""
    if metafunc.definition.get_closest_marker("once"):
        return
    folder = metafunc.definition.path.relative_to(TESTS).parts[0]
    own_choice = OWN_CHOICE.intersection(metafunc.fixturenames)
    sets = instruction_sets()
    if folder in HELD_TO_EACH and not own_choice and len(sets) > 1:
        metafunc.fixturenames.append("instruction_set")
        metafunc.parametrize("instruction_set", sets, indirect=True)
