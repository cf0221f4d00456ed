import json
import math
from pathlib import Path

import pytest

from benchmarks.records import Key, Records, digest, table

KEYS = [
    Key("graphs", "set", readout, 0, seed, "c", "v")
    for readout in ("mean", "uotp")
    for seed in (0, 1)
]


def values(accuracy: float, **more: object) -> dict[str, object]:
    return {
        "test_accuracy": accuracy,
        "parameters": 1234,
        "seconds_per_epoch": 0.25,
        "best_epoch": 7,
        "diverged": False,
        **more,
    }


def test_what_is_appended_is_read_back(tmp_path):
    records = Records(tmp_path / "new" / "results.jsonl")
    assert KEYS[0] not in records
    records.append(KEYS[0], {"test_accuracy": 0.5})
    records.append(KEYS[1], {"test_accuracy": 1.0, "scores": [1.0, None]})
    for seen in (records, Records(records.path)):
        assert len(seen) == 2
        assert KEYS[0] in seen
        assert KEYS[2] not in seen
        assert seen[KEYS[1]] == {
            **KEYS[1]._asdict(),
            "test_accuracy": 1.0,
            "scores": [1.0, None],
        }
    assert len(records.path.read_text().splitlines()) == 2


def test_what_json_has_no_number_for_is_null(tmp_path):
    records = Records(tmp_path / "results.jsonl")
    numbers = {"losses": [0.5, math.nan], "alpha2": {"now": (math.inf, 1)}}
    records.append(KEYS[0], {"test_accuracy": 0.5, **numbers})
    text = records.path.read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    for seen in (records, Records(records.path)):
        assert seen[KEYS[0]]["losses"] == [0.5, None]
        assert seen[KEYS[0]]["alpha2"] == {"now": [None, 1]}


def test_the_last_record_of_a_key_counts(tmp_path):
    records = Records(tmp_path / "results.jsonl")
    records.append(KEYS[0], {"test_accuracy": 1})
    records.append(KEYS[0], {"test_accuracy": 0.5})
    assert Records(records.path)[KEYS[0]]["test_accuracy"] == 0.5
    assert len(Records(records.path)) == 1


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_survives_a_truncated_last_line(tmp_path, cut):
    records = Records(tmp_path / "results.jsonl")
    for key in KEYS[:2]:
        records.append(key, {"test_accuracy": 1})
    whole = records.path.read_bytes()
    records.path.write_bytes(whole[:-cut])

    resumed = Records(records.path)
    complete = cut == 1  # nothing but the newline is missing
    assert resumed.broken == (0 if complete else 1)
    assert (KEYS[1] in resumed) == complete
    assert KEYS[0] in resumed

    resumed.append(KEYS[2], {"test_accuracy": 1})
    again = Records(records.path)
    assert KEYS[2] in again
    assert KEYS[0] in again
    assert again.broken == resumed.broken


def test_a_line_that_is_no_record_is_broken(tmp_path, capsys):
    path = tmp_path / "results.jsonl"
    unhashable = {**KEYS[0]._asdict(), "seed": [1]}
    lines = [b'{"dataset": "set"}', b"7", b"null", b'"text"', b"\xff\xfe", b""]
    path.write_bytes(b"\n".join([*lines, json.dumps(unhashable).encode()]))
    records = Records(path)
    assert len(records) == 0
    assert records.broken == 6
    records.warn()
    assert capsys.readouterr().err == f"6 incomplete line(s) in {path} skipped\n"


def test_records_are_in_the_order_they_were_written(tmp_path):
    records = Records(tmp_path / "results.jsonl")
    for key in (KEYS[0], KEYS[1], KEYS[0]):
        records.append(key, {"test_accuracy": 1})
    for seen in (records, Records(records.path)):
        assert [record["seed"] for record in seen] == [1, 0]


def test_digest_depends_on_the_settings_alone():
    assert digest({"a": 1, "b": 2.0}) == digest({"b": 2.0, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert digest({"a": 1}) != digest({"b": 1})


def test_table_has_means_and_deviations():
    accuracies = (0.5, 0.7, 0.875, 0.875)
    runs = [
        {**key._asdict(), **values(accuracy)}
        for key, accuracy in zip(KEYS, accuracies, strict=True)
    ]
    lines = [line.split("|") for line in table(runs).splitlines()]
    assert [cell.strip() for cell in lines[2]][1:4] == ["mean", "60.0 ± 14.1", "2"]
    assert [cell.strip() for cell in lines[3]][1:4] == ["uotp", "87.5 ± 0.0", "2"]
    assert [cell.strip() for cell in lines[2]][4:7] == ["1,234", "0.250", "7"]
    assert len({len(line) for line in table(runs).splitlines()}) == 1


def test_table_of_one_seed_has_no_deviation_and_names_divergence():
    run = {**KEYS[0]._asdict(), **values(0.5, diverged=True)}
    assert "| mean (1 diverged) | 50.0 " in table([run])
    assert "±" not in table([run])


@pytest.mark.parametrize(
    "wrong",
    [
        {"test_accuracy": "0.5"},
        {"test_accuracy": None},
        {"test_accuracy": math.nan},
        {"test_accuracy": math.inf},
        {"test_accuracy": True},
        {"test_accuracy": 75.0},
        {"test_accuracy": [0.5]},
        {"fold": "0"},
        {"seed": 1.5},
        {"readout": 7},
        {"num_test": 0},
        {"num_test": "100"},
        {"val_accuracy": math.nan},
        {"test_auc": "high"},
        {"seconds": None},
        {"best_epoch": -1},
        {"diverged": "no"},
        {"by_accuracy": None},
        {"by_accuracy": {"test_accuracy": "0.5"}},
        {"coefficients": []},
    ],
)
def test_values_of_another_kind_are_skipped_and_counted(tmp_path, wrong, capsys):
    path = tmp_path / "results.jsonl"
    good = {**KEYS[0]._asdict(), "test_accuracy": 0.5}
    lines = [{**KEYS[1]._asdict(), "test_accuracy": 0.5, **wrong}, good]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    records = Records(path)
    assert [*records] == [good]
    assert records.broken == 1
    records.warn()
    assert capsys.readouterr().err == f"1 incomplete line(s) in {path} skipped\n"


def test_a_line_without_test_accuracy_is_skipped_and_counted(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(KEYS[0]._asdict()))
    assert Records(path).broken == 1
    assert KEYS[0] not in Records(path)


def test_a_line_that_is_nested_too_deeply_is_skipped_and_counted(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text("[" * 100_000 + "\n")
    assert Records(path).broken == 1


def test_what_a_diverged_run_has_no_number_for_is_no_fault(tmp_path):
    records = Records(tmp_path / "results.jsonl")
    none = {"test_loss": math.nan, "val_loss": math.inf, "test_auc": None}
    records.append(KEYS[0], values(0.5, diverged=True, **none))
    assert KEYS[0] in Records(records.path)


def test_the_recorded_results_are_whole():
    folder = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
    for path in folder.glob("*.jsonl"):
        assert Records(path).broken == 0
