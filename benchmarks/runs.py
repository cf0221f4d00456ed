r"""Executes those runs that have no record yet."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tqdm import tqdm

from benchmarks.records import Key, Records


def run_missing(
    keys: Sequence[Key],
    records: Records,
    execute: Callable[[Key], Mapping[str, Any]],
    again: Callable[[Key], bool] = lambda key: False,
) -> list[dict[str, Any]]:
    r"""Executes the missing runs in order and records each when it ends.

    Args:
        keys (Sequence[Key]): The runs wanted.
        records (Records): Results so far; new ones are appended.
        execute (Callable): Performs one run and returns the values of its record:
            ``test_accuracy``, ``best_epoch``, ``seconds_per_epoch`` and others.
        again (Callable, optional): Whether to execute a run although it is
            recorded. (default: never)

    Returns:
        list: The records of ``keys``, in their order.
    """
    missing = [key for key in keys if key not in records or again(key)]
    if records.broken:
        print(f"{records.broken} incomplete line(s) in {records.path} skipped")
    if len(missing) < len(keys):
        reused = f"{len(keys) - len(missing)} of {len(keys)} runs"
        print(f"{reused} are recorded in {records.path} and not run again")
    started = time.perf_counter()
    with tqdm(missing, desc="runs", unit="run", disable=None) as bar:
        for done, key in enumerate(bar, start=1):
            values = execute(key)
            records.append(key, values)
            left = (time.perf_counter() - started) / done * (len(missing) - done)
            count = f"[{done}/{len(missing)}]"
            bar.write(f"{count} {_line(key, values)}, {left:.0f} s left")
    return [records[key] for key in keys]


def _line(key: Key, values: Mapping[str, Any]) -> str:
    return (
        f"{key.dataset}, {key.readout}, seed {key.seed}: "
        f"{100 * values['test_accuracy']:.1f} % right after {values['best_epoch']} "
        f"epochs of {values['seconds_per_epoch']:.2f} s"
    )
