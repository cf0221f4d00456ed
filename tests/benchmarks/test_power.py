import math

import pytest

from benchmarks.landscape import POINTS, task
from benchmarks.power import assumed_deviation, main, measured_deviation, row
from benchmarks.results import DataSet


def runs(*accuracies):
    return {
        (0, seed): {"test_accuracy": value} for seed, value in enumerate(accuracies)
    }


def test_disagreement_gives_a_deviation():
    assert assumed_deviation(400, 0.04) == pytest.approx(0.01)


def test_deviations_are_measured_over_pairs():
    data = DataSet("set", {"a": runs(0.5, 0.6, 0.7), "b": runs(0.5, 0.5, 0.5)})
    assert measured_deviation(data) == pytest.approx(0.1)
    short = DataSet("set", {"a": runs(0.5, 0.6), "b": runs(0.5, 0.5)})
    assert measured_deviation(short) is None


def test_a_row_says_whether_it_assumes():
    made = task(POINTS["size 1"])
    assumed = row(made, None, 0.1)
    assert assumed[:4] == ["landscape", "size 1", "8", "2000"]
    assert assumed[4:6] == [f"{100 * math.sqrt(0.1 / 2000):.1f}", "assumed"]
    data = DataSet("size 1", {"a": runs(0.5, 0.6, 0.7), "b": runs(0.5, 0.5, 0.5)})
    measured = row(made, data, 0.1)
    assert measured[4:6] == ["10.0", "measured"]
    assert float(measured[6]) > float(assumed[6])


def test_prints_what_is_there(tmp_path, capsys):
    command = f"--application images --root {tmp_path} --results {tmp_path}"
    assert main(command.split()) == 0
    printed = capsys.readouterr().out
    assert "| images      |   digits |" in printed
    assert "CIFAR" not in printed


def test_refuses_no_disagreement(capsys):
    assert main(["--disagreement", "0"]) == 2
    assert "must be in (0, 1] (got 0.0)" in capsys.readouterr().err
