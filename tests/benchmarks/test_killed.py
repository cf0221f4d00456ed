"""Commands that are killed at random moments, and started again."""

import json
import random
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import graph_classification, stored, suite
from benchmarks.records import Key, Records
from tests.benchmarks import forks

Start = Callable[[Path], BaseProcess]
SUITE = (
    "--application landscape --dataset size~1 --readout mean max --runs 2 --epochs 1 "
    "--out"
)
GRAPHS = "--dataset SHAPES --readout mean max --seeds 4 --epochs 3 --hidden 8 --out"


def run(command: str, options: str) -> None:
    torch.set_num_threads(1)
    main = {"suite": suite.main, "graphs": graph_classification.main}[command]
    raise SystemExit(main([option.replace("~", " ") for option in options.split()]))


@pytest.fixture(params=["suite", "graphs"])
def start(request, write_tu, tmp_path) -> Iterator[Start]:
    options, started = SUITE, []
    if request.param == "graphs":
        root = write_tu(labels=[0, 1, 2, 1, 0])
        options = f"--root {root} --cache {tmp_path / 'cache'} {GRAPHS}"

    def start(out: Path) -> BaseProcess:
        args = (request.param, f"{options} {out}")
        process = forks.context().Process(target=run, args=args)
        started.append(process)
        process.start()
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


def finish(process: BaseProcess) -> float:
    """Waits for a process, which must succeed; returns how long."""
    started = time.perf_counter()
    process.join()
    assert process.exitcode == 0
    return time.perf_counter() - started


def results(folder: Path) -> dict[Key, Any]:
    """All records by key, without their times."""
    (path,) = folder.glob("*.jsonl")
    found = {}
    for record in Records(path):
        key = Key(*(record[name] for name in Key._fields))
        found[key] = without_times(record)
    return found


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        timeless = {k: v for k, v in value.items() if not k.startswith("seconds")}
        return {name: without_times(part) for name, part in timeless.items()}
    return [*map(without_times, value)] if isinstance(value, list) else value


def check_weights(folder: Path, undisturbed: Path) -> None:
    for path in (undisturbed / "models").glob("*.pt"):
        kept, expected = stored.load(folder / "models" / path.name), stored.load(path)
        assert kept.keys() == expected.keys()
        assert all(torch.equal(kept[name], expected[name]) for name in kept)


def kill_and_resume(start: Start, folder: Path, kills: int, seed: int) -> None:
    undisturbed, disturbed = folder / "undisturbed", folder / "disturbed"
    duration, draw, killed = finish(start(undisturbed)), random.Random(seed), 0
    for _ in range(kills):
        process = start(disturbed)
        process.join(draw.uniform(0, duration))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        killed += process.exitcode != 0
    finish(start(disturbed))
    assert killed > 0
    assert results(disturbed) == results(undisturbed)
    check_weights(disturbed, undisturbed)


def test_a_killed_command_goes_on_to_the_same_records(start, tmp_path):
    kill_and_resume(start, tmp_path, kills=10, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_commands_killed_more_often_go_on_to_the_same_records(start, tmp_path, seed):
    kill_and_resume(start, tmp_path, kills=40, seed=seed)


def test_two_commands_in_one_folder_leave_the_same_records(start, tmp_path):
    undisturbed, shared = tmp_path / "undisturbed", tmp_path / "shared"
    finish(start(undisturbed))
    for process in [start(shared), start(shared)]:
        finish(process)
    assert results(shared) == results(undisturbed)
    check_weights(shared, undisturbed)
    (path,) = shared.glob("*.jsonl")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(records) <= 2 * len(results(undisturbed))
