import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import instruction_sets, machine
from tests.properties.ledger import LEDGER
from torch_geometric_uotp import backend


def pytest_report_header() -> str:
    return f"kernels: {backend()}"


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data: the folder UOTP_DATA, else shared/data beside the repository."""
    folder = machine.data_folder()
    if not folder.is_dir():
        pytest.skip(f"no data in {folder}: set UOTP_DATA to the folder that has them")
    return folder


@pytest.fixture
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    """The instruction set of the kernels during a test that runs with each."""
    with instruction_sets.kernels_of(request.param):
        yield request.param


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # Last, so that tests that differ in the kernels alone come after one another.
    instruction_sets.parametrize(metafunc)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if not instruction_sets.repeats(item)]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("slow") and os.environ.get("UOTP_SLOW") != "1":
        pytest.skip("takes minutes: make check-all runs it (UOTP_SLOW=1)")


def pytest_sessionfinish(session: pytest.Session) -> None:
    LEDGER.send(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One of the processes among which pytest-xdist divides the tests has ended."""
    LEDGER.receive(node)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Iterator[None]:
    """The last lines but pytest's own: what was found, and what was not tried."""
    yield
    LEDGER.report(terminalreporter)
    terminalreporter.section("not tried on this machine")
    for line in machine.not_tried():
        terminalreporter.line(line)
