import math

import pytest

from benchmarks.landscape import POINTS, task
from benchmarks.power import assumed_deviation, main, measured_deviation, row
from benchmarks.results import DataSet
from benchmarks.suite import SUITE


def runs(*accuracies):
    return {
        (0, seed): {"test_accuracy": value, "num_test": 100}
        for seed, value in enumerate(accuracies)
    }


def records(seconds=1.0, **accuracies):
    common = {"dataset": "size 1", "fold": 0, "configuration": "c", "num_test": 100}
    common |= {"seconds": seconds}
    return [
        {**common, "readout": name, "seed": seed, "test_accuracy": value}
        for name, values in accuracies.items()
        for seed, value in enumerate(values)
    ]


def test_disagreement_gives_a_deviation():
    assert assumed_deviation(400, 0.04) == pytest.approx(0.01)


def test_deviations_are_measured_over_pairs():
    data = DataSet("set", {"a": runs(0.5, 0.6, 0.7), "b": runs(0.5, 0.5, 0.5)})
    assert measured_deviation(data) == pytest.approx(0.1)
    equal = DataSet("set", {"a": runs(0.5, 0.6, 0.7), "b": runs(0.4, 0.5, 0.6)})
    assert measured_deviation(equal) is None
    short = DataSet("set", {"a": runs(0.5, 0.6), "b": runs(0.5, 0.5)})
    assert measured_deviation(short) is None


def test_a_row_says_whether_it_assumes():
    made = task(POINTS["size 1"])
    assumed = row(made, [], 0.1)
    assert assumed[:4] == ["landscape", "size 1", "4", "2000"]
    assert assumed[4:6] == [f"{100 * math.sqrt(0.1 / 2000):.1f}", "assumed"]
    measured = row(made, records(a=(0.5, 0.6, 0.7), b=(0.5, 0.5, 0.5)), 0.1)
    assert measured[4:6] == ["10.0", "measured"]
    assert float(measured[6]) > float(assumed[6])


def test_a_row_says_how_long_it_takes():
    made = task(POINTS["size 1"])
    assert row(made, [], 0.1)[7] == ""
    planned = {*SUITE} - {"sagpool"}
    recorded = records(mean=(0.5, 0.6), max=(0.5, 0.5), seconds=900.0)
    assert float(row(made, recorded, 0.1)[7]) == 4 * len(planned) * 0.25


def test_prints_what_is_there(tmp_path, capsys):
    (tmp_path / "cifar10").mkdir()
    command = f"--application images --root {tmp_path} --results {tmp_path}"
    assert main(command.split()) == 0
    printed = capsys.readouterr().out
    assert "| images      |   digits |" in printed
    assert "CIFAR" not in printed


def test_says_what_is_broken(tmp_path, capsys):
    (tmp_path / "mil").mkdir()
    (tmp_path / "mil" / "some.csv").write_text("text")
    command = f"--application bags --root {tmp_path} --results {tmp_path}"
    assert main(command.split()) == 0
    printed = capsys.readouterr()
    assert "bags, some: broken, " in printed.err
    assert "| some" not in printed.out


def test_refuses_no_disagreement(capsys):
    assert main(["--disagreement", "0"]) == 2
    assert "must be in (0, 1] (got 0.0)" in capsys.readouterr().err


def test_refuses_an_unknown_application(capsys):
    with pytest.raises(SystemExit):
        main(["--application", "foo"])
    assert "invalid choice: 'foo'" in capsys.readouterr().err
