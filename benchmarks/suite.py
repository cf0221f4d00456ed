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
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import landscape
from benchmarks.absent import Absent
from benchmarks.execute import APPLICATIONS, Execute, limited
from benchmarks.experiment import Experiment
from benchmarks.known import described
from benchmarks.output import check_folder
from benchmarks.readouts import (
    ABLATIONS,
    CONCATENATED,
    CONVENTIONAL,
    DECISIVE,
    OURS,
    READOUTS,
    refuse_unknown,
    resolve,
)
from benchmarks.records import Key, Records
from benchmarks.runs import failed, run_missing
from benchmarks.task import Task

SUITE = [*CONVENTIONAL, *CONCATENATED, *OURS, *ABLATIONS]
# What is looked for under the root.
FOLDERS = ("tu", "mil", "mnist", "cifar10")
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
    r"""The folder of the data: as given, else by UOTP_DATA, else beside the clone.

    Raises:
        ValueError: If one is given, either way, that has nothing that is looked for.
    """
    given = {"--root": args.root, "UOTP_DATA": os.environ.get("UOTP_DATA")}
    for name, folder in given.items():
        if folder is None:
            continue
        if not any((Path(folder) / part).is_dir() for part in FOLDERS):
            raise ValueError(
                f"{name} must be a folder with one of {', '.join(FOLDERS)} (got "
                f"'{folder}')"
            )
        return Path(folder)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return beside if beside.is_dir() else None


def plan(args: argparse.Namespace, root: Path | None) -> Plan:
    r"""What the command line asks for.

    Raises:
        ValueError: If a readout or data set is unknown, a readout named twice, or a
            count below 1.
    """
    refuse_unknown("--readout", args.readout or ())
    for option in ("runs", "epochs", "jobs"):
        value = getattr(args, option)
        if value is not None and value < 1:
            raise ValueError(f"--{option} must be at least 1 (got {value})")
    tasks = [task for name in args.application for task in APPLICATIONS[name](root)]
    known = [task.name for task in tasks]
    if args.dataset is not None:
        unknown = set(args.dataset) - set(known)
        if unknown and args.dataset is not QUICK_DATA:
            raise ValueError(
                f"no dataset '{min(unknown)}' (choose from: {', '.join(known)})"
            )
        tasks = [task for task in tasks if task.name in args.dataset]
    tasks = [limited(task, args.epochs, args.runs) for task in tasks]
    return Plan(tasks, args.readout)


def trouble(task: Task) -> Exception | None:
    r"""Why the data of a task cannot be had, :class:`~benchmarks.absent.Absent` if they
    are not there; none if they can.
    """
    try:
        task.data(0)
    except Exception as error:  # a broken file makes its reader raise anything
        return error
    return None


@dataclass
class Tally:
    r"""What was not run.

    Args:
        absent (list): Data sets that are not there.
        broken (list): Data sets that are there and cannot be read.
        failed (int): Runs of others that failed.
    """

    absent: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    failed: int = 0

    def add(self, name: str, reason: Exception) -> None:
        r"""Counts a data set that cannot be had, and says why."""
        if isinstance(reason, Absent):
            self.absent.append(name)
            print(f"{name}: skipped, {reason}")
        else:
            self.broken.append(name)
            text = " ".join(f"{type(reason).__name__}: {reason}".split())
            print(f"{name}: broken, {text}", file=sys.stderr)

    def close(self, count: int) -> int:
        r"""Sums up; returns the exit status of a command that had ``count`` sets."""
        if self.absent:
            print(f"skipped, not there: {'; '.join(self.absent)}")
        if self.broken:
            print(f"broken: {'; '.join(self.broken)}", file=sys.stderr)
        if self.failed:
            print(failed(self.failed), file=sys.stderr)
        if len(self.absent) == count:
            print("suite: none of the data sets asked for is there", file=sys.stderr)
            return 2
        return 1 if self.broken or self.failed else 0


def run(args: argparse.Namespace, planned: Plan, root: Path | None) -> int:
    r"""Executes what is missing, set after set; returns the exit status."""
    execute, tally = Execute(root, args.epochs), Tally()
    for task in planned.tasks:
        reason = trouble(task)
        if reason is not None:
            tally.add(f"{task.application}, {task.name}", reason)
            continue
        keys = [*planned.keys(task)]
        print(f"{task.application}, {task.name}: {described(task.data(0).facts())}")
        records = Records(args.out / f"{task.application}.jsonl")
        done = run_missing(keys, records, execute, jobs=args.jobs)
        tally.failed += len(keys) - len(done)
    return tally.close(len(planned.tasks))


def main(argv: Sequence[str] | None = None) -> int:
    r"""Runs the command; returns its exit status.

    This is 1 if data are broken, a run failed or a record could not be written, and 2
    if nothing could be run.
    """
    args = parse(argv)
    try:
        root = root_of(args)
        planned = plan(args, root)
        check_folder(args.out, "--out")
    except ValueError as error:
        print(f"suite: {error}", file=sys.stderr)
        return 2
    try:
        return run(args, planned, root)
    except OSError as error:
        print(f"suite: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ninterrupted; the same command goes on from {args.out}")
        return 130


if __name__ == "__main__":
    sys.exit(main())
