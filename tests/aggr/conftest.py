from collections.abc import Iterator
from unittest.mock import patch

import pytest

from tests.instruction_sets import instruction_sets, kernels_of
from torch_geometric_uotp import ops


@pytest.fixture(params=["portable", *instruction_sets()])
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a test without the native kernels, and with those of each instruction set."""
    if request.param == "portable":
        with patch.object(ops, "AVAILABLE", False):
            yield request.param
        return
    with kernels_of(request.param):
        yield request.param
