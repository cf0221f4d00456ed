import os
import shutil

import pytest

from tests.conformance import ours
from tests.conformance.case import Case
from tests.conformance.clauses import CLAUSES
from tests.conformance.deployment import check_compiled

COMPILER = os.environ.get("CXX", "g++")


@pytest.mark.parametrize("clause", CLAUSES)
@pytest.mark.parametrize("case", ours.CASES, ids=lambda case: case.name)
def test_layer_keeps_clause(case: Case, clause: str) -> None:
    if clause in case.exempt:
        pytest.skip(f"{case.name} {case.exempt[clause]}")
    CLAUSES[clause](case)


@pytest.mark.skipif(
    shutil.which(COMPILER) is None, reason=f"no C++ compiler ({COMPILER})"
)
def test_layer_compiles_to_machine_code() -> None:
    check_compiled(ours.SINKHORN, backend="inductor")
