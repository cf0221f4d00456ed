"""Results files that are cut, mixed with other lines, or that no more fits into."""

import random
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import output
from benchmarks.records import Key, Records
from tests.benchmarks import forks

FOREIGN = (
    b"",
    b"null",
    b"{}",
    b'{"dataset": "set"}',
    b"\xff\xfe\x00",
    b"<<<<<<< HEAD",
    b'{"event": "start", "seed": 3}',
    b"[" * 5000,
)


def key(number: int) -> Key:
    return Key("graphs", "set", "mean", 0, number, "c", "v")


def filled(path: Path, count: int) -> Records:
    records = Records(path)
    for number in range(count):
        records.append(key(number), {"test_accuracy": number / count})
    return records


def seeds(records: Records) -> list[int]:
    return [record["seed"] for record in records]


@pytest.mark.parametrize("seed", range(20))
def test_a_file_that_is_cut_anywhere_loses_the_line_that_is_cut(tmp_path, seed):
    path = filled(tmp_path / "results.jsonl", 5).path
    whole = path.read_bytes()
    cut = random.Random(seed).randrange(len(whole))
    path.write_bytes(whole[:cut])
    # The newline alone is not missed.
    complete = (whole[:cut] + b"\n").count(b"}\n")
    records = Records(path)
    assert seeds(records) == [*range(complete)]
    assert records.broken == (whole[:cut][-1:] not in (b"", b"\n", b"}"))
    records.append(key(9), {"test_accuracy": 1})
    again = Records(path)
    assert seeds(again) == [*range(complete), 9]
    assert again.broken == records.broken


@pytest.mark.parametrize("seed", range(10))
def test_foreign_lines_are_counted_and_stay(tmp_path, seed):
    path = filled(tmp_path / "results.jsonl", 5).path
    draw = random.Random(seed)
    lines = path.read_bytes().splitlines()
    for line in FOREIGN:
        lines.insert(draw.randrange(len(lines) + 1), line)
    path.write_bytes(b"\n".join(lines))
    records = Records(path)
    assert seeds(records) == [0, 1, 2, 3, 4]
    assert records.broken == len(FOREIGN) - 1  # An empty line is none.
    records.append(key(5), {"test_accuracy": 1})
    assert path.read_bytes().startswith(b"\n".join(lines))
    assert seeds(Records(path)) == [0, 1, 2, 3, 4, 5]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can be longer: the write that would make it so is done in part."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("room", [1, 50, 150])
@pytest.mark.parametrize("cut", [0, 1, 20])
def test_a_record_that_does_not_fit_leaves_the_file_as_it_was(tmp_path, room, cut):
    records = filled(tmp_path / "results.jsonl", 3)
    before = records.path.read_bytes()[: -cut or None]
    records.path.write_bytes(before)
    values = {"test_accuracy": 1.0, "history": [0.5] * 1000}
    with pytest.raises(OSError, match=r"results.jsonl"), room_for(len(before) + room):
        records.append(key(3), values)
    assert records.path.read_bytes() == before
    assert key(3) not in records
    records.append(key(3), values)
    assert key(3) in Records(records.path)


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path, before):
    path = tmp_path / "summary.json"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(OSError, match=r"summary.json"), room_for(100):
        output.write(path, b"new" * 1000)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before] * bool(before)


def append_many(path: Path, writer: int, count: int) -> None:
    records = Records(path)
    for number in range(count):
        many = {"test_accuracy": 0.5, "history": [writer] * 20_000}
        records.append(key(1000 * writer + number), many)


def write_many(path: Path, writer: int, count: int) -> None:
    for _ in range(count):
        output.write(path, bytes([writer]) * 500_000)


@pytest.fixture
def together(tmp_path) -> Callable[..., Path]:
    def run(work: Callable[[Path, int, int], None], count: int) -> Path:
        path = tmp_path / "shared"
        context = forks.context()
        processes = [
            context.Process(target=work, args=(path, writer, count))
            for writer in range(4)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * 4
        return path

    return run


def test_several_processes_append_whole_lines(together):
    records = Records(together(append_many, 10))
    expected = [1000 * writer + number for writer in range(4) for number in range(10)]
    assert records.broken == 0
    assert sorted(seeds(records)) == expected


def test_of_several_processes_that_write_a_file_one_is_the_last(together):
    path = together(write_many, 10)
    content = path.read_bytes()
    assert content in [bytes([writer]) * 500_000 for writer in range(4)]
    assert [*path.parent.iterdir()] == [path]
