import os

import pytest

from benchmarks.elementary import Elementary, instruction_sets


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "isa" in metafunc.fixturenames:
        metafunc.parametrize("isa", instruction_sets())


@pytest.fixture(scope="session")
def elementary() -> Elementary:
    try:
        return Elementary()
    except OSError as error:
        pytest.skip(f"the kernels' functions were not compiled: {error}")


@pytest.fixture(scope="session")
def slow() -> None:
    """A check that takes minutes, for `make check-native`."""
    if os.environ.get("UOTP_SLOW") != "1":
        pytest.skip("takes minutes: make check-native runs it (UOTP_SLOW=1)")
