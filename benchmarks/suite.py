r"""All applications, data sets and readouts, by one protocol.

    python -m benchmarks.suite --jobs 2 --root ../shared/data
    python -m benchmarks.suite --quick
    python -m benchmarks.suite --application landscape --readout mean max uotp

Results are appended to ``APPLICATION.jsonl`` in the output folder, a line a run; what
is there already for the same code and configuration is not run again, so that an
interrupted command goes on where it stopped. ``python -m benchmarks.report`` reads
them.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import landscape
from benchmarks.execute import APPLICATIONS, Execute, limited
from benchmarks.experiment import Experiment
from benchmarks.readouts import (
    ABLATIONS,
    CONCATENATED,
    CONVENTIONAL,
    DECISIVE,
    OURS,
    READOUTS,
    resolve,
)
from benchmarks.records import Key, Records
from benchmarks.runs import run_missing
from benchmarks.task import Task

SUITE = [*CONVENTIONAL, *CONCATENATED, *OURS, *ABLATIONS]
QUICK = ["mean", "max", "sum", "attention", "softmax1", "uotp"]
QUICK_DATA = [
    "solubility",
    "MUTAG",
    "digit bags",
    "musk1",
    "digits",
    *landscape.DEVELOPMENT[::2],
]


@dataclass(frozen=True)
class Plan:
    r"""What is to be run.

    Args:
        tasks (list): The tasks.
        readouts (list, optional): The names of the readouts. (default: all of the
            suite, and where runs are long those of :obj:`DECISIVE`)
    """

    tasks: list[Task]
    readouts: list[str] | None = None

    def keys(self, task: Task) -> Iterator[Key]:
        r"""The runs of a task, all readouts of a fold and seed together.

        Readouts that read edges are left out where there are none, and those that the
        task leaves out.
        """
        experiment = Experiment(task)
        wanted = self.readouts or (DECISIVE if task.long else SUITE)
        names = [name for name in wanted if name not in task.left_out]
        if task.application != "graphs":
            names = [name for name in names if not resolve(name).reads_edges]
        for place in task.places(task.runs):
            yield from (experiment.key(name, *place) for name in names)


def parser() -> argparse.ArgumentParser:
    r"""The command line."""
    made = argparse.ArgumentParser("suite", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    add = made.add_argument
    add("--application", nargs="+", default=list(APPLICATIONS), choices=APPLICATIONS)
    add("--dataset", nargs="+", help="of those applications (default: all)")
    names = f"{', '.join(READOUTS)} (default: as planned)"
    add("--readout", nargs="+", metavar="NAME", help=names)
    add("--runs", type=int, help="folds and seeds of each set (default: as planned)")
    add("--epochs", type=int, help="at most (default: as planned)")
    add("--quick", action="store_true", help="six readouts, one run, small sets")
    add("--root", type=Path, help="folder with tu, mil, mnist and cifar10")
    add("--out", type=Path, default=Path("benchmarks/results"), help="folder")
    add("--jobs", type=int, default=1, help="processes, of one thread each")
    return made


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    r"""Reads the command line; ``--quick`` sets other defaults and nothing else."""
    made = parser()
    if made.parse_args(argv).quick:
        made.set_defaults(readout=QUICK, dataset=QUICK_DATA, runs=1, epochs=30)
    return made.parse_args(argv)


def root_of(args: argparse.Namespace) -> Path | None:
    r"""The folder of the data: as given, else by UOTP_DATA, else beside the clone."""
    if args.root is not None:
        return Path(args.root)
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("UOTP_DATA", default))
    return folder if folder.is_dir() else None


def plan(args: argparse.Namespace, root: Path | None) -> Plan:
    r"""What the command line asks for.

    Raises:
        ValueError: If a readout or data set is unknown, or a count below 1.
    """
    for name in args.readout or ():
        resolve(name)
    for option in ("runs", "epochs", "jobs"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise ValueError(f"--{option} must be at least 1 (got {value})")
    tasks = [task for name in args.application for task in APPLICATIONS[name](root)]
    known = [task.name for task in tasks]
    if args.dataset is not None:
        unknown = set(args.dataset) - set(known)
        if unknown and not args.quick:
            raise ValueError(
                f"no dataset '{min(unknown)}' (choose from: {', '.join(known)})"
            )
        tasks = [task for task in tasks if task.name in args.dataset]
    tasks = [limited(task, args.epochs, args.runs) for task in tasks]
    return Plan(tasks, args.readout)


def missing(task: Task) -> str | None:
    r"""Why the data of a task cannot be had; none if they can."""
    try:
        task.data(0)
    except ValueError as error:
        return str(error)
    return None


def run(args: argparse.Namespace, planned: Plan, root: Path | None) -> None:
    r"""Executes what is missing, a data set after the other."""
    execute = Execute(root, args.epochs)
    for task in planned.tasks:
        reason = missing(task)
        if reason is not None:
            print(f"{task.application}, {task.name}: skipped, {reason}")
            continue
        records = Records(args.out / f"{task.application}.jsonl")
        run_missing(list(planned.keys(task)), records, execute, jobs=args.jobs)


def main(argv: Sequence[str] | None = None) -> int:
    r"""Runs the command; returns its exit status."""
    args = parse(argv)
    root = root_of(args)
    try:
        planned = plan(args, root)
    except ValueError as error:
        print(f"suite: {error}", file=sys.stderr)
        return 2
    try:
        run(args, planned, root)
    except KeyboardInterrupt:
        print(f"\ninterrupted; the same command goes on from {args.out}")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
