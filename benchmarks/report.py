r"""The report of the recorded runs.

    python -m benchmarks.report
    python -m benchmarks.report --ours uotp --page runs/report.html

Reads ``*.jsonl`` of the results folder; writes a Markdown page with its pictures, the
same as one HTML file, and the figures alone as JSON.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import landscape
from benchmarks.document import Block, Heading, write_html, write_markdown
from benchmarks.output import check_file, check_folder, write
from benchmarks.readouts import CONVENTIONAL, DECISIVE, refuse_unknown
from benchmarks.readouts import OURS as LAYERS
from benchmarks.report_parts import Application
from benchmarks.results import (
    DataSet,
    Record,
    arrange,
    common_readouts,
    complete,
    read,
    repeated,
    table,
)
from benchmarks.statistics import FEWEST_SETS, SignedRank, signed_rank, wilcoxon
from benchmarks.suite import SUITE
from benchmarks.written import written

NOTES = "notes.md"
BEST = "the best conventional, by validation"
REAL = ("graphs", "bags", "images")
# Sections over several; the points for development have chosen the layer.
POOLS = {
    "real data": REAL,
    "all data sets but those for development": (
        *REAL,
        "landscape: confirmation",
        "landscape: second confirmation",
    ),
}
# Of the conventional ones, those that do not decide what is claimed.
OTHERS = [name for name in CONVENTIONAL if name not in DECISIVE]
# The layer with heads that start apart, and with one.
OURS = ("uotp-spread", "uotp")
PARTS = {
    "development": landscape.DEVELOPMENT,
    "confirmation": landscape.CONFIRMATION,
    "second confirmation": landscape.SECOND_CONFIRMATION,
}


def parser() -> argparse.ArgumentParser:
    r"""The command line."""
    made = argparse.ArgumentParser("report", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    add = made.add_argument
    add("--results", type=Path, default=Path("benchmarks/results"), help="folder")
    add("--ours", nargs="+", default=[*OURS], help="the readouts to judge")
    add("--markdown", type=Path, default=Path("docs/results.md"))
    add("--images", type=Path, default=Path("docs/images"), help="folder")
    add("--page", type=Path, default=Path("runs/report.html"), help="HTML")
    return made


@dataclass(frozen=True)
class Report:
    r"""All applications that have results.

    Args:
        applications (list): Their data sets.
        ours (list): The readouts to judge.
    """

    applications: list[Application]
    ours: list[str]

    @cached_property
    def pools(self) -> list[Application]:
        r"""The data sets of several applications at once, where there are several."""
        names: dict[tuple[str, ...], str] = {}
        for name, members in POOLS.items():
            present = [part.name for part in self.applications if part.name in members]
            names.setdefault(tuple(present), name)
        return [self._pool(names[parts], parts) for parts in names if len(parts) > 1]

    def _pool(self, name: str, parts: Sequence[str]) -> Application:
        chosen = [part for part in self.applications if part.name in parts]
        sets = [data for part in chosen for data in part.sets]
        pool = Application(name, sets, self.ours, [*CONVENTIONAL])
        more = [data for part in chosen for data in (part.wider or part).sets]
        return replace(pool, wider=wider(pool, more))

    @cached_property
    def wide_pools(self) -> list[Application]:
        r"""The data sets of each pool with more readouts, if enough for tests."""
        return [
            replace(pool.wider, name=f"{pool.name}: more readouts")
            for pool in self.pools
            if pool.wider is not None and len(pool.wider.sets) >= FEWEST_SETS
        ]

    @cached_property
    def tests(self) -> dict[str, dict[str, dict[str, SignedRank]]]:
        r"""Signed-rank tests of ours, by application and pool, where sets suffice."""
        against = [(part, DECISIVE) for part in (*self.applications, *self.pools)]
        against += [(pool, OTHERS) for pool in self.wide_pools]
        found = {
            part.name: {
                ours: tested(part, ours, names)
                for ours in self.ours
                if ours in part.common
            }
            for part, names in against
            if len(part.sets) >= FEWEST_SETS
        }
        return {name: group for name, group in found.items() if group}

    def summary(self) -> dict[str, Any]:
        r"""The figures as JSON values."""
        tests = {
            name: {
                ours: {other: found._asdict() for other, found in against.items()}
                for ours, against in group.items()
            }
            for name, group in self.tests.items()
        }
        parts = {part.name: part.summary() for part in self.applications}
        return {"ours": self.ours, **parts, "tests": tests}

    def blocks(self, preface: str, images: Path) -> list[Block]:
        r"""The report; its pictures are written to ``images``."""
        blocks: list[Block] = [Heading("Results", 1), *written(preface)]
        for part in self.applications:
            blocks += part.blocks(self.tests.get(part.name, {}), images)
        for pool in (*self.pools, *self.wide_pools):
            blocks += pool.pooled(self.tests.get(pool.name, {}), images)
        return blocks


def rivals(ours: str, readouts: Sequence[str]) -> list[str]:
    r"""What a readout must beat: those readouts that are not the library's own.

    Of those without transport, its own and PyG's.
    """
    own = f"{ours}-rq0"
    names = [
        name
        for name in readouts
        if name not in (*LAYERS, ours) and not name.endswith("-rq0")
    ]
    return [*names, own]


def tested(
    part: Application, ours: str, readouts: Sequence[str]
) -> dict[str, SignedRank]:
    r"""Signed-rank tests against each rival among readouts that all data sets have.

    The first is against the best conventional readout of each data set, chosen by
    validation, which none of the others is: minus the regret.
    """
    others = [name for name in rivals(ours, readouts) if name in part.common]
    regret = signed_rank(-row[ours] for row in part.regrets().values())
    return {BEST: regret, **wilcoxon(table(part.sets, [ours, *others]), ours, others)}


def parted(name: str, sets: list[DataSet]) -> dict[str, list[DataSet]]:
    r"""The landscape's parts, each an application; any other as it is.

    What has no data set is left out.
    """
    found = {name: sets}
    if name == "landscape":
        found = {
            f"landscape: {part}": [data for data in sets if data.name in points]
            for part, points in PARTS.items()
        }
    return {part: sets for part, sets in found.items() if sets}


def judged(sets: Sequence[DataSet]) -> list[DataSet]:
    r"""Those that have a conventional readout to be compared with."""
    return [data for data in sets if any(name in data.runs for name in CONVENTIONAL)]


def applications(
    name: str, records: Sequence[Record], ours: list[str]
) -> list[Application]:
    r"""An application, or its parts, each with its :func:`wider` data sets.

    Data sets without a conventional readout, and those that are not
    :func:`~benchmarks.results.complete`, are left out and named.
    """
    every = parted(name, judged(arrange(records, repeated)))
    arranged = arrange(records)
    chosen = judged(arranged)
    lacking = _others(arranged, chosen)
    if lacking:
        listed = ", ".join(lacking)
        print(f"left out, no conventional readout was run: {listed}", file=sys.stderr)
    found = []
    for part, every_set in parted(name, chosen).items():
        sets = complete(every_set)
        names = {data.name for data in sets}
        recorded = [run["readout"] for run in records if run["dataset"] in names]
        made = Application(
            part,
            sets,
            ours,
            [*CONVENTIONAL],
            [*dict.fromkeys(recorded)],
            _others(every_set, sets),
        )
        more = [data for data in every.get(part, []) if data.name in names]
        found.append(replace(made, wider=wider(made, more)))
    return found


def _others(sets: Sequence[DataSet], chosen: Sequence[DataSet]) -> list[str]:
    return sorted({data.name for data in sets} - {data.name for data in chosen})


def wider(application: Application, sets: Sequence[DataSet]) -> Application | None:
    r"""The data sets that have two readouts more than all have, if they share them."""
    enough = len(application.common) + 2
    more = [data for data in sets if len(data.runs) >= enough]
    if not more or len(common_readouts(more)) < enough:
        return None
    return replace(application, sets=more)


def load(folder: Path, ours: list[str]) -> Report:
    r"""The results of a folder.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If a readout is unknown or named twice, or if there are no results
            or records of something else.
    """
    refuse_unknown("--ours", ours)
    wanted = {*SUITE, *ours}
    parts: list[Application] = []
    for path in sorted(folder.glob("*.jsonl")):
        records = [record for record in read(path) if record["readout"] in wanted]
        parts += applications(path.stem, records, ours)
    if not parts:
        raise ValueError(
            f"no results in '{folder}' of a conventional readout and others (python -m "
            "benchmarks.suite)"
        )
    return Report(parts, ours)


def main(argv: Sequence[str] | None = None) -> int:
    r"""Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    try:
        report = load(args.results, args.ours)
        check_folder(args.results, "--results")
        check_folder(args.images, "--images")
        check_file(args.markdown, "--markdown")
        check_file(args.page, "--page")
        notes = args.results / NOTES
        preface = notes.read_text("utf-8") if notes.exists() else ""
    except (OSError, ValueError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    try:
        write_all(report, preface, args)
    except OSError as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    return 0


def write_all(report: Report, preface: str, args: argparse.Namespace) -> None:
    r"""Writes page, pictures and figures, and prints where they are.

    Raises:
        OSError: If one cannot be written; it names the file.
    """
    blocks = report.blocks(preface, args.images)
    write_markdown(blocks, args.markdown)
    write_html(blocks, "torch_geometric_uotp: results", args.page)
    summary = args.results / "summary.json"
    write(summary, json.dumps(report.summary(), indent=1) + "\n")
    print(f"{args.markdown}\n{args.page}\n{summary}")


if __name__ == "__main__":
    sys.exit(main())
