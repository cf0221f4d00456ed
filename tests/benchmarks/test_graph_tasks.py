import importlib
import sys

import pytest
import torch

from benchmarks.absent import Absent
from benchmarks.graph_tasks import RUNS, TRAINING, Shape, Source, task, tasks
from benchmarks.readouts import resolve
from tests.benchmarks import forks


def test_lists_the_sets_of_the_suite_without_reading_any(tmp_path):
    found = {made.name: made for made in tasks(tmp_path)}
    assert set(found) == set(RUNS)
    assert found["solubility"].num_folds == 1
    assert found["NCI1"].num_folds == 10
    assert found["NCI1"].places(12)[-2:] == [(0, 1), (1, 1)]
    with pytest.raises(Absent, match="must be an existing folder"):
        found["MUTAG"].data(0)


def say_what_is_missing_without_rdkit(connection) -> None:
    sys.modules["rdkit"] = None
    for name in [name for name in sys.modules if name.split(".")[0] == "benchmarks"]:
        del sys.modules[name]
    for name in ("graph_classification", "power", "report", "suite", "warm_start"):
        importlib.import_module(f"benchmarks.{name}")
    suite = sys.modules["benchmarks.suite"]
    connection.send(str(suite.trouble(suite.APPLICATIONS["graphs"](None)[0])))


def test_only_solubility_needs_rdkit():
    context = forks.context()
    here, there = context.Pipe()
    process = context.Process(target=say_what_is_missing_without_rdkit, args=(there,))
    process.start()
    there.close()
    assert "dataset 'solubility' needs the package rdkit" in here.recv()
    process.join()
    assert process.exitcode == 0


def test_the_model_fits_the_graphs(write_tu, tmp_path):
    source = Source("SHAPES", write_tu(labels=[0, 1, 2, 1, 0]), tmp_path / "cache")
    made = task(source, TRAINING, Shape(hidden=8), batch_size=4)
    graphs = made.data(0)
    assert made.data(1) is graphs
    for name in ("mean", "sagpool"):
        model = made.model(graphs, resolve(name))
        logits = model(graphs.select(torch.tensor([0, 5]))[0])
        assert logits.shape == (2, 2)


@pytest.mark.parametrize(
    "sizes", [{"hidden": 0}, {"num_layers": 0}, {"dropout": 1.0}, {"dropout": -0.1}]
)
def test_refuses_sizes(sizes):
    (name,) = sizes
    with pytest.raises(ValueError, match=f"'{name}' must be"):
        Shape(**sizes)
