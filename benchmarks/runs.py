r"""Executes those runs that have no record yet, in one process or several."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from benchmarks.records import Key, Records

Run = Callable[[Key], Mapping[str, Any]]
# The values of a record, or why there are none.
Outcome = tuple[Key, Mapping[str, Any] | str]


def run_missing(
    keys: Sequence[Key],
    records: Records,
    execute: Run,
    again: Callable[[Key], bool] = lambda key: False,
    jobs: int = 1,
) -> list[dict[str, Any]]:
    r"""Executes the missing runs in order and records each when it ends.

    Args:
        keys (Sequence[Key]): The runs wanted.
        records (Records): Results so far; new ones are appended.
        execute (Callable): Performs one run and returns the values of its record:
            ``test_accuracy``, ``best_epoch``, ``seconds_per_epoch`` and others.
        again (Callable, optional): Whether to execute a run although it is
            recorded. (default: never)
        jobs (int): Processes to share the runs among; only this one writes.
            (default: :obj:`1`, this process)

    A run that raises, or whose process is killed, is not recorded, and the others go
    on.

    Returns:
        list: The records of ``keys``, in their order, but for those that failed.
    """
    missing = [key for key in keys if key not in records or again(key)]
    records.warn()
    if len(missing) < len(keys):
        reused = f"{len(keys) - len(missing)} of {len(keys)} runs"
        print(f"{reused} are recorded in {records.path} and not run again")
    lost = set()
    started = time.perf_counter()
    results = _execute(missing, execute, jobs)
    with tqdm(results, "runs", len(missing), unit="run", disable=None) as bar:
        for done, (key, values) in enumerate(bar, start=1):
            if isinstance(values, str):
                bar.write(f"{_name(key)}: failed, {values}", file=sys.stderr)
                lost.add(key)
                continue
            records.append(key, values)
            left = (time.perf_counter() - started) / done * (len(missing) - done)
            count = f"[{done}/{len(missing)}]"
            bar.write(f"{count} {_line(key, values)}, {left:.0f} s left")
    return [records[key] for key in keys if key not in lost]


def failed(count: int) -> str:
    r"""What a command says at the end if that many runs have failed."""
    return f"{count} run(s) failed; the same command tries them again"


def _execute(keys: Sequence[Key], execute: Run, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        return (_attempt(execute, key) for key in keys)
    return _shared(keys, execute, jobs)


def _shared(keys: Sequence[Key], execute: Run, jobs: int) -> Iterator[Outcome]:
    """Shares the runs among processes, and among new ones when one of them dies.

    It may have been short of memory. Those that were on their way, the first that are
    left, are tried once more, one at a time.
    """
    left, doubtful = dict.fromkeys(keys), 0
    while left:
        alone, doubtful = doubtful > 0, max(0, doubtful - 1)
        chosen = [*left][:1] if alone else [*left]
        parallel = Parallel(jobs, return_as="generator_unordered")
        try:
            for key, values in parallel(delayed(_attempt)(execute, k) for k in chosen):
                del left[key]
                yield key, values
        except TerminatedWorkerError as error:
            if alone:
                del left[chosen[0]]
                yield chosen[0], _told(error)
            else:
                doubtful = jobs


def _attempt(execute: Run, key: Key) -> Outcome:
    try:
        return key, execute(key)
    except Exception as error:  # a night of runs is worth more than the reason of one
        return key, _told(error)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _name(key: Key) -> str:
    return f"{key.dataset}, {key.readout}, fold {key.fold}, seed {key.seed}"


def _line(key: Key, values: Mapping[str, Any]) -> str:
    return (
        f"{_name(key)}: {100 * values['test_accuracy']:.1f} % right after "
        f"{values['best_epoch']} epochs of {values['seconds_per_epoch']:.2f} s"
    )
