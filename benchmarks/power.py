r"""What the planned runs can show, and how long they take.

    python -m benchmarks.power --root ../shared/data

For each data set of the suite, the difference between two readouts that the corrected
resampled t-test finds at 5 % with a power of 80 %. It needs to know how much the
difference varies from run to run: from recorded results, if there are at least three
runs, the median over all pairs of readouts; else from an assumed share of test
examples that only one of the two gets right. The hours of one process are those that
recorded runs took, with the mean of the data set for readouts that have none.
"""

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from statistics import mean, median, stdev

from benchmarks.absent import Absent
from benchmarks.document import Table
from benchmarks.execute import APPLICATIONS
from benchmarks.results import DataSet, Record, arrange, read
from benchmarks.statistics import smallest_detectable
from benchmarks.suite import Plan, root_of, trouble
from benchmarks.task import Task

DISAGREEMENT = 0.1
FEWEST = 3


def assumed_deviation(num_test: int, disagreement: float) -> float:
    r"""Of the difference of two accuracies on the same ``num_test`` examples.

    With a share d of them that one of the two gets right and the other wrong, and both
    equally good, it is :math:`\sqrt{d / n}`.
    """
    return math.sqrt(disagreement / num_test)


def measured_deviation(data: DataSet) -> float | None:
    r"""The median over pairs of readouts; none if it is 0, or of fewer than three runs
    of each.
    """
    deviations = []
    for one, other in combinations(data.readouts, 2):
        differences = data.differences(one, other)
        if len(differences) >= FEWEST:
            deviations.append(stdev(differences))
    return (median(deviations) or None) if deviations else None


def planned_hours(task: Task, records: Iterable[Record]) -> float | None:
    r"""Of all the suite's runs of a task; none if none is recorded."""
    seconds: dict[str, list[float]] = {}
    for record in records:
        seconds.setdefault(record["readout"], []).append(record["seconds"])
    if not seconds:
        return None
    usual = [mean(mean(runs) for runs in seconds.values())]
    keys = Plan([task]).keys(task)
    return sum(mean(seconds.get(key.readout, usual)) for key in keys) / 3600


def row(task: Task, records: Sequence[Record], disagreement: float) -> list[str]:
    r"""What is planned for a task, and the difference that can show.

    Args:
        task (Task): It.
        records (Sequence): Those of its data set.
        disagreement (float): Assumed where nothing is recorded.
    """
    y = task.data(0).y
    train, val, test = task.split(y, 0, 0)
    recorded = [measured_deviation(data) for data in arrange(records)]
    measured = recorded[0] if recorded else None
    deviation = measured or assumed_deviation(len(test), disagreement)
    ratio = 0.0 if task.generated else len(test) / (len(train) + len(val))
    least = smallest_detectable(deviation, task.runs, ratio)
    hours = planned_hours(task, records)
    return [
        *(task.application, task.name, str(task.runs), str(len(test))),
        *(f"{100 * deviation:.1f}", "assumed" if measured is None else "measured"),
        *(f"{100 * least:.1f}", "" if hours is None else f"{hours:.2f}"),
    ]


def table(tasks: Sequence[Task], folder: Path, disagreement: float) -> Table:
    r"""A line for each task whose data are there."""
    records: dict[tuple[str, str], list[Record]] = {}
    for path in folder.glob("*.jsonl"):
        for record in read(path):
            records.setdefault((path.stem, record["dataset"]), []).append(record)
    head = [
        *("application", "data set", "runs", "test examples"),
        *("std of difference", "", "smallest detectable (points)", "hours"),
    ]
    rows = [
        row(task, records.get((task.application, task.name), []), disagreement)
        for task in tasks
        if _is_there(task)
    ]
    return Table(head, rows)


def _is_there(task: Task) -> bool:
    reason = trouble(task)
    if reason is not None and not isinstance(reason, Absent):
        print(f"{task.application}, {task.name}: broken, {reason}", file=sys.stderr)
    return reason is None


def main(argv: Sequence[str] | None = None) -> int:
    r"""Prints the table; returns the exit status."""
    made = argparse.ArgumentParser("power", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument(
        "--application", nargs="+", default=list(APPLICATIONS), choices=APPLICATIONS
    )
    made.add_argument("--root", type=Path, help="folder with tu, mil, mnist, cifar10")
    made.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    made.add_argument("--disagreement", type=float, default=DISAGREEMENT)
    args = made.parse_args(argv)
    if not 0 < args.disagreement <= 1:
        print(
            f"power: --disagreement must be in (0, 1] (got {args.disagreement})",
            file=sys.stderr,
        )
        return 2
    try:
        root = root_of(args)
        tasks = [task for name in args.application for task in APPLICATIONS[name](root)]
        found = table(tasks, args.results, args.disagreement)
    except (OSError, ValueError) as error:
        print(f"power: {error}", file=sys.stderr)
        return 2
    print(found.markdown(Path()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
