import json

import pytest

from benchmarks import imitation
from benchmarks.graph_tasks import Shape


@pytest.fixture
def _tiny(dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Shape(hidden=8, num_layers=2)
    monkeypatch.setattr(imitation, "load", lambda name, root: dataset)
    monkeypatch.setattr(imitation, "Shape", lambda: shape)


@pytest.mark.usefixtures("_tiny")
def test_errors_of_every_pooling_and_solver(tmp_path, capsys) -> None:
    assert imitation.main(["--epochs", "2", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "signs.json").read_text())
    reached = [pair for row in found["exact"].values() for pair in row.values() if pair]
    assert len(reached) == 12
    assert all(output < 1e-6 for output, _ in reached)
    for name in ("mean", "sum", "max", "attention"):
        for solver in ("Sinkhorn", "BADMM, entropy"):
            errors = found["approach"][name][solver]
            assert errors[-1] < 1e-4 < errors[0]
    assert (tmp_path / "signs.png").stat().st_size > 1000
    printed = capsys.readouterr().out
    assert "| attention: α0 = α1 = 1e6, α2 = 1e6/ε | Sinkhorn | BADMM" in printed
    assert "| softmax |" in printed


def test_data_that_is_missing_is_named(capsys) -> None:
    assert imitation.main(["--dataset", "MUTAG"]) == 2
    assert "'MUTAG' needs --root" in capsys.readouterr().err
