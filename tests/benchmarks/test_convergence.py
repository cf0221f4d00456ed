from unittest.mock import patch

import pytest

from benchmarks import convergence
from benchmarks.workloads import Workload


def test_counts_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ot", reason="POT, a contender, is not installed")
    tiny = {"A": Workload("A", (5, 3), 4)}
    with (
        patch.object(convergence, "SHAPES", ((12, 8),)),
        patch.object(convergence, "SETTINGS", ((0.05, 1.0, 1.0),)),
        patch.object(convergence, "SPREAD", tiny),
    ):
        assert convergence.main(["--sets", "2", "--repeats", "1"]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.startswith("| 0.05, 1, 1"))
    plain, ours = (int(cell) for cell in row.split("|")[3:5])
    assert 0 < ours < plain
    assert "POT over ours, workload A: " in out


def test_refuses_no_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert convergence.main(["--sets", "0"]) == 2
    assert "at least 1" in capsys.readouterr().out
