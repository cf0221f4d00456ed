import json

import pytest

from benchmarks.results import (
    DataSet,
    arrange,
    by_accuracy,
    by_auc,
    common_readouts,
    complete,
    read,
    repeated,
    table,
)
from benchmarks.statistics import mean_ranks


def record(readout, seed, accuracy, *, dataset="set", configuration="c", val=0.5):
    return {
        "dataset": dataset,
        "readout": readout,
        "fold": 0,
        "seed": seed,
        "configuration": configuration,
        "test_accuracy": accuracy,
        "val_accuracy": val,
        "test_ratio": 0.25,
        "num_test": 100,
        "by_accuracy": {"test_accuracy": accuracy / 2},
    }


@pytest.fixture
def data() -> DataSet:
    records = [
        record("mean", 0, 0.5, val=0.9),
        record("uotp", 0, 0.6),
        record("mean", 1, 0.7, val=0.5),
        record("uotp", 1, 0.9),
        record("uotp", 2, 0.9),
    ]
    return arrange(records)[0]


def test_scores_by_run(data):
    assert data.readouts == ["mean", "uotp"]
    assert data.mean("mean") == pytest.approx(0.6)
    assert data.mean("mean", by_accuracy) == pytest.approx(0.3)
    assert data.deviation("mean") == pytest.approx(0.02**0.5)
    assert len(list(data.records())) == 4


@pytest.mark.parametrize(
    ("readouts", "kept"),
    [
        (["mean max", "mean max", "mean"], "01"),
        (["mean", "mean", "mean max"], "012"),
        (["mean max", "mean max median", "max median"], "01"),
        (["mean max", "max sum", "mean sum"], "012"),
    ],
)
def test_most_data_sets_decide_what_each_must_have(readouts, kept):
    sets = [
        DataSet(str(number), {name: {} for name in names.split()})
        for number, names in enumerate(readouts)
    ]
    assert "".join(data.name for data in complete(sets)) == kept


def test_runs_count_that_all_readouts_have(data):
    assert [len(runs) for runs in data.runs.values()] == [2, 2]


def kept_of(counts, *pair):
    """How many runs of each readout are kept, of as many as ``counts`` says."""
    records = [
        record(name, seed, 0.5)
        for name, count in counts.items()
        for seed in range(count)
    ]
    (found,) = arrange(records, *pair)
    return {name: len(runs) for name, runs in found.runs.items()}


@pytest.mark.parametrize(
    ("counts", "kept"),
    [
        # A readout with few runs does not hide the others.
        ({"a": 3, "b": 3, "c": 2}, {"a": 2, "b": 2, "c": 2}),  # interrupted
        ({"a": 8, "b": 8, "c": 1}, {"a": 8, "b": 8}),  # tried once
        ({"a": 1, "b": 1}, {"a": 1, "b": 1}),
        # The readouts that decide say which runs count: eleven on the side would
        # otherwise outvote them.
        (
            {"mean": 4, "uotp": 4, **dict.fromkeys("abcdefghijk", 3)},
            {"mean": 4, "uotp": 4},
        ),
        ({"mean": 2, "uotp": 2, "a": 9, "b": 1}, {"mean": 2, "uotp": 2, "a": 2}),
    ],
)
def test_readouts_are_compared_in_the_runs_that_most_have(counts, kept):
    assert kept_of(counts) == kept


def test_readouts_on_the_side_are_repeated_at_least_twice():
    kept = kept_of({"mean": 4, "uotp": 4, "a": 3, "b": 1}, repeated)
    assert kept == {"mean": 3, "uotp": 3, "a": 3}
    assert arrange([record("b", 0, 0.5)], repeated) == []


def test_as_many_right_answers_are_equal_whatever_their_order():
    shares = {"mean": (1 / 3, 1.0), "uotp": (2 / 3, 2 / 3)}
    records = [
        {**record(name, seed, float(f"{share:.6g}")), "num_test": 300}
        for name, (first, second) in shares.items()
        for seed, share in enumerate((first, second))
    ]
    (data,) = arrange(records)
    assert data.mean("mean") == data.mean("uotp")
    assert mean_ranks(table([data], shares)) == {"mean": 1.5, "uotp": 1.5}


def test_no_run_in_common_is_no_data_set():
    apart = [record("mean", 0, 0.5), record("uotp", 1, 0.6)]
    assert arrange(apart) == []


def test_differences_are_paired(data):
    assert data.differences("uotp", "mean") == pytest.approx([0.1, 0.2])
    found = data.compare("uotp", "mean")
    assert found.difference == pytest.approx(0.15)
    # Two runs, of examples shared at a ratio of a quarter.
    reach = 12.7062 * (0.005 * (1 / 2 + 1 / 4)) ** 0.5
    assert found.high - found.difference == pytest.approx(reach, rel=1e-4)


def test_folds_of_several_sizes_have_the_mean_ratio():
    records = [
        {**record(name, seed, 0.5), "test_ratio": ratio}
        for name in ("mean", "uotp")
        for seed, ratio in enumerate((0.1, 0.12))
    ]
    (data,) = arrange(records)
    assert data.test_ratio() == pytest.approx(0.11)


def test_equal_differences_compare_nothing():
    scores = {"mean": (0.5, 0.7), "uotp": (0.6, 0.8)}
    records = [
        record(name, seed, score)
        for name, both in scores.items()
        for seed, score in enumerate(both)
    ]
    (data,) = arrange(records)
    assert data.differences("uotp", "mean") == [0.1, 0.1]
    assert data.compare("uotp", "mean") is None


def test_one_run_compares_nothing():
    (data,) = arrange([record("mean", 0, 0.5), record("uotp", 0, 0.6)])
    assert data.compare("uotp", "mean") is None


def test_the_best_is_chosen_by_validation(data):
    assert data.best(["uotp", "mean", "never run"]) == "mean"
    assert data.mean("uotp") > data.mean("mean")


def test_the_last_record_of_a_run_counts():
    (data,) = arrange([record("mean", 0, 0.1), record("mean", 0, 0.2)])
    assert data.scores("mean") == [0.2]


def test_one_configuration_counts():
    records = [record("mean", seed, 0.1, configuration="old") for seed in range(2)]
    records += [record("mean", seed, 0.2, configuration="new") for seed in range(3)]
    (data,) = arrange(records)
    assert data.scores("mean") == [0.2] * 3


def test_tables_need_common_readouts():
    sets = arrange(
        [
            record("mean", 0, 0.1, dataset="one"),
            record("max", 0, 0.2, dataset="one"),
            record("max", 0, 0.4, dataset="two"),
        ]
    )
    assert common_readouts(sets) == ["max"]
    assert table(sets, ["max"]) == {"one": {"max": 0.2}, "two": {"max": 0.4}}


def whole(**values):
    facts = {"application": "bags", "code": "v", "torch": "2", "backend": "b"}
    facts |= {"readout_parameters": 0, "seconds": 1.0, "coefficients": {}}
    return json.dumps({**record("mean", 0, 0.1), **facts, **values})


def test_incomplete_lines_are_left_out(tmp_path, capsys):
    path = tmp_path / "graphs.jsonl"
    path.write_bytes(f'{whole()}\n{{"dataset": "s\nnull\n'.encode() + b"\xff\n")
    assert len(read(path)) == 1
    assert f"3 incomplete line(s) in {path}" in capsys.readouterr().err


def test_other_records_are_named_by_file(tmp_path):
    path = tmp_path / "graphs.jsonl"
    path.write_text(whole().replace("num_test", "many"))
    with pytest.raises(ValueError, match=r"graphs.jsonl' has a record without 'num_te"):
        read(path)


def test_a_run_without_area_is_missing():
    records = [record("mean", seed, 0.5) for seed in range(3)]
    for run, area in zip(records, (0.75, None, 0.25), strict=True):
        run["test_auc"] = area
    (data,) = arrange(records)
    assert data.mean("mean", by_auc) == 0.5
    assert arrange([record("mean", 0, 0.5)])[0].scores("mean", by_auc) == []
