r"""Results as JSON lines, appended as runs end, so that the rest can be resumed."""

import hashlib
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from benchmarks.values import valid

if sys.platform != "win32":
    import fcntl


class Key(NamedTuple):
    r"""What identifies a run; ``configuration`` digests all other settings.

    ``code`` is the version of the sources, see :func:`benchmarks.version.code_version`.
    """

    application: str
    dataset: str
    readout: str
    fold: int
    seed: int
    configuration: str
    code: str


def digest(settings: Mapping[str, Any]) -> str:
    r"""Twelve hexadecimal digits of the settings, in whatever order they are."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[
        :12
    ]


class Records:
    r"""The records of a JSON-lines file, the last one of each key.

    A line that is no complete record is skipped and counted in ``broken``: an
    interrupted write, or what has no key, no test accuracy, or a value of another kind
    (see :mod:`benchmarks.values`). They are in the order in which they were written.

    Args:
        path (Path): The file; it and its folder are made by the first :meth:`append`.
    """

    def __init__(self, path: Path):
        self.path = path
        self.broken = 0
        self._by_key: dict[Key, dict[str, Any]] = {}
        for line in path.read_bytes().splitlines() if path.exists() else ():
            self._read(line)

    def _read(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):  # Brackets can be nested too deeply.
            record = None
        if isinstance(record, dict) and valid(record):
            self._keep(Key(*(record[name] for name in Key._fields)), record)
        else:
            self.broken += 1

    def _keep(self, key: Key, record: dict[str, Any]) -> None:
        self._by_key.pop(key, None)
        self._by_key[key] = record

    def warn(self) -> None:
        r"""Says how many lines were skipped, if any were."""
        if self.broken:
            text = f"{self.broken} incomplete line(s) in {self.path} skipped"
            print(text, file=sys.stderr)

    def append(self, key: Key, values: Mapping[str, Any]) -> None:
        r"""Writes one record, on its own line even if the last one was cut short.

        JSON has no infinity and no NaN; such numbers become null. Other processes may
        append to the same file. If writing fails, on a full disk or by an interruption,
        the file is as it was.

        Raises:
            OSError: If it cannot be written; it names the file.
        """
        record = _jsonable({**key._asdict(), **values})
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Without a buffer: that would be written when the file is closed.
            with self.path.open("a+b", buffering=0) as file:
                _lock(file)
                _append(file, line)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self._keep(key, record)

    def __contains__(self, key: Key) -> bool:
        return key in self._by_key

    def __getitem__(self, key: Key) -> dict[str, Any]:
        return self._by_key[key]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _jsonable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lock(file: FileIO) -> None:
    """Keeps other processes from appending until the file is closed.

    Some network file systems have no locks; there a record is written in one call.
    """
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)


def _append(file: FileIO, line: bytes) -> None:
    size = file.seek(0, os.SEEK_END)
    left = memoryview((b"\n" if _cut_short(file) else b"") + line)
    try:
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())
    except BaseException:
        file.truncate(size)
        raise


def _cut_short(file: FileIO) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def by_readout(
    records: Iterable[Mapping[str, Any]],
) -> dict[str, list[Mapping[str, Any]]]:
    r"""Groups records by readout, in order of first appearance."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault(record["readout"], []).append(record)
    return groups


def table(records: Iterable[Mapping[str, Any]]) -> str:
    r"""A Markdown table with a line for each readout.

    Accuracy is in percent, mean ± sample standard deviation over the runs; times and
    epochs are means.
    """
    head = (
        "readout",
        "test accuracy %",
        "runs",
        "parameters",
        "s / epoch",
        "best epoch",
    )
    rows = [_row(name, runs) for name, runs in by_readout(records).items()]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(map(str.ljust, row, widths)) + " |"
        for row in (head, rule, *rows)
    )


def _row(name: str, runs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    accuracy = [100 * run["test_accuracy"] for run in runs]
    spread = f" ± {stdev(accuracy):.1f}" if len(runs) > 1 else ""
    diverged = sum(run["diverged"] for run in runs)
    return (
        name + (f" ({diverged} diverged)" if diverged else ""),
        f"{mean(accuracy):.1f}{spread}",
        str(len(runs)),
        f"{runs[0]['parameters']:,}",
        f"{mean(run['seconds_per_epoch'] for run in runs):.3f}",
        f"{mean(run['best_epoch'] for run in runs):.0f}",
    )
