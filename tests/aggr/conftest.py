from collections.abc import Iterator
from unittest.mock import patch

import pytest

from torch_geometric_uotp import ops


@pytest.fixture(params=["native", "portable"])
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run a test on the native kernels, where they are there, and without them."""
    with patch.object(ops, "AVAILABLE", request.param == "native" and ops.AVAILABLE):
        yield request.param
