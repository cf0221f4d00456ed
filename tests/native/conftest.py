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
