import os
import signal
from pathlib import Path

import pytest

from benchmarks.records import Key, Records
from benchmarks.runs import run_missing

KEYS = [Key("graphs", "set", "mean", 2, seed, "c", "v") for seed in range(4)]


@pytest.fixture
def records(tmp_path) -> Records:
    return Records(tmp_path / "results.jsonl")


class Execute:
    def __init__(self, interrupted_at: Key | None = None, fails_at: Key | None = None):
        self.interrupted_at = interrupted_at
        self.fails_at = fails_at
        self.keys: list[Key] = []

    def __call__(self, key: Key) -> dict[str, float]:
        if key == self.interrupted_at:
            raise KeyboardInterrupt
        if key == self.fails_at:
            raise MemoryError("not enough\nmemory")
        self.keys.append(key)
        score = key.seed / 10
        return {"test_accuracy": score, "best_epoch": 1, "seconds_per_epoch": 0.5}


def test_executes_in_order_and_returns_records(records, capsys):
    execute = Execute()
    results = run_missing(KEYS, records, execute)
    assert execute.keys == KEYS
    assert [result["test_accuracy"] for result in results] == [0, 0.1, 0.2, 0.3]
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4
    assert printed[3].startswith("[4/4] set, mean, fold 2, seed 3: 30.0 % right")
    assert printed[3].endswith(", 0 s left")


def test_goes_on_where_it_was_interrupted(records, capsys):
    with pytest.raises(KeyboardInterrupt):
        run_missing(KEYS, records, Execute(interrupted_at=KEYS[2]))
    capsys.readouterr()
    execute = Execute()
    results = run_missing(KEYS, Records(records.path), execute)
    assert execute.keys == KEYS[2:]
    assert len(results) == 4
    assert "2 of 4 runs are recorded" in capsys.readouterr().out


def test_executes_again_what_it_is_told_to(records):
    run_missing(KEYS, records, Execute())
    execute = Execute()
    run_missing(KEYS, records, execute, again=lambda key: key.seed == 1)
    assert execute.keys == [KEYS[1]]


def test_says_what_it_skipped(records, capsys):
    run_missing(KEYS[:1], records, Execute())
    with records.path.open("a") as file:
        file.write('{"dataset": "s')
    run_missing(KEYS[:1], Records(records.path), Execute())
    assert "1 incomplete line(s)" in capsys.readouterr().err


def test_several_processes_leave_the_same_records(records, tmp_path):
    alone = run_missing(KEYS, records, Execute())
    shared = Records(tmp_path / "shared.jsonl")
    assert run_missing(KEYS, shared, Execute(), jobs=2) == alone
    assert len(shared.path.read_text().splitlines()) == 4


@pytest.mark.parametrize("jobs", [1, 2])
def test_goes_on_after_a_run_that_fails(records, jobs, capsys):
    results = run_missing(KEYS, records, Execute(fails_at=KEYS[1]), jobs=jobs)
    assert [result["seed"] for result in results] == [0, 2, 3]
    assert KEYS[1] not in Records(records.path)
    (line,) = capsys.readouterr().err.splitlines()
    failed = "set, mean, fold 2, seed 1: failed, MemoryError: not enough memory"
    assert line == failed


class Killed(Execute):
    """Its process dies at a run, each time or once."""

    def __init__(self, at: Key, marker: Path | None = None):
        super().__init__()
        self.at = at
        self.marker = marker

    def __call__(self, key: Key) -> dict[str, float]:
        if key == self.at and not (self.marker and self.marker.exists()):
            if self.marker:
                self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(key)


def test_goes_on_after_a_process_is_killed(records, tmp_path):
    execute = Killed(KEYS[1], tmp_path / "killed")
    results = run_missing(KEYS, records, execute, jobs=2)
    assert [result["seed"] for result in results] == [0, 1, 2, 3]


def test_gives_up_a_run_that_kills_its_process(records, capsys):
    results = run_missing(KEYS, records, Killed(KEYS[1]), jobs=2)
    assert [result["seed"] for result in results] == [0, 2, 3]
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("set, mean, fold 2, seed 1: failed, TerminatedWorkerError")


def test_an_older_record_does_not_hide_a_failure(records):
    run_missing(KEYS, records, Execute())
    fails = Execute(fails_at=KEYS[1])
    results = run_missing(KEYS, records, fails, again=lambda key: True)
    assert [result["seed"] for result in results] == [0, 2, 3]
