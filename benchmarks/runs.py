r"""Executes those runs that have no record yet, in one process or several."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from joblib import Parallel, delayed
from tqdm import tqdm

from benchmarks.records import Key, Records


def run_missing(
    keys: Sequence[Key],
    records: Records,
    execute: Callable[[Key], Mapping[str, Any]],
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

    Returns:
        list: The records of ``keys``, in their order.
    """
    missing = [key for key in keys if key not in records or again(key)]
    records.warn()
    if len(missing) < len(keys):
        reused = f"{len(keys) - len(missing)} of {len(keys)} runs"
        print(f"{reused} are recorded in {records.path} and not run again")
    started = time.perf_counter()
    results = _execute(missing, execute, jobs)
    with tqdm(results, "runs", len(missing), unit="run", disable=None) as bar:
        for done, (key, values) in enumerate(bar, start=1):
            records.append(key, values)
            left = (time.perf_counter() - started) / done * (len(missing) - done)
            count = f"[{done}/{len(missing)}]"
            bar.write(f"{count} {_line(key, values)}, {left:.0f} s left")
    return [records[key] for key in keys]


def _execute(
    keys: Sequence[Key], execute: Callable[[Key], Mapping[str, Any]], jobs: int
) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    if jobs == 1:
        return ((key, execute(key)) for key in keys)
    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered")
    results: Iterator[tuple[Key, Mapping[str, Any]]] = parallel(
        delayed(_with_key)(execute, key) for key in keys
    )
    return results


def _with_key(
    execute: Callable[[Key], Mapping[str, Any]], key: Key
) -> tuple[Key, Mapping[str, Any]]:
    return key, execute(key)


def _line(key: Key, values: Mapping[str, Any]) -> str:
    return (
        f"{key.dataset}, {key.readout}, fold {key.fold}, seed {key.seed}: "
        f"{100 * values['test_accuracy']:.1f} % right after {values['best_epoch']} "
        f"epochs of {values['seconds_per_epoch']:.2f} s"
    )
