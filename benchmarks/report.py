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
from pathlib import Path
from typing import Any

from benchmarks import landscape
from benchmarks.document import Block, Heading, Paragraph, write_html, write_markdown
from benchmarks.readouts import CONVENTIONAL, DECISIVE, resolve
from benchmarks.readouts import OURS as LAYERS
from benchmarks.report_parts import Application
from benchmarks.results import (
    DataSet,
    Record,
    arrange,
    by_loss,
    common_readouts,
    read,
    shared,
    table,
)
from benchmarks.statistics import Comparison, wilcoxon
from benchmarks.suite import SUITE

NOTES = "notes.md"
ALL = "all data sets"
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

    def tests(self) -> dict[str, dict[str, dict[str, Comparison]]]:
        r"""Signed-rank tests of ours, by application and over all data sets."""
        groups = {part.name: part.sets for part in self.applications}
        groups[ALL] = [data for part in self.applications for data in part.sets]
        found = {
            name: {ours: tested(sets, ours) for ours in self.ours if _has(sets, ours)}
            for name, sets in groups.items()
            if len(sets) > 1
        }
        return {name: group for name, group in found.items() if group}

    def summary(self) -> dict[str, Any]:
        r"""The figures as JSON values."""
        tests = {
            name: {
                ours: {other: found._asdict() for other, found in against.items()}
                for ours, against in group.items()
            }
            for name, group in self.tests().items()
        }
        parts = {part.name: part.summary() for part in self.applications}
        return {"ours": self.ours, **parts, "tests": tests}

    def blocks(self, preface: str, images: Path) -> list[Block]:
        r"""The report; its pictures are written to ``images``."""
        blocks: list[Block] = [Heading("Results", 1)]
        blocks += [Paragraph(text) for text in preface.strip().split("\n\n") if text]
        tests = self.tests()
        for part in self.applications:
            blocks += part.blocks(tests.get(part.name, {}), images)
        if len(self.applications) > 1 and ALL in tests:
            blocks += [Heading("All data sets"), *part.tested(tests[ALL])]
        return blocks


def _has(sets: Sequence[DataSet], name: str) -> bool:
    return name in common_readouts(sets)


def rivals(ours: str) -> list[str]:
    r"""What a readout must beat: all that decide and are not the library's own.

    Of those without transport, its own and PyG's.
    """
    own = f"{ours}-rq0"
    names = [
        name
        for name in DECISIVE
        if name not in (*LAYERS, ours) and not name.endswith("-rq0")
    ]
    return [*names, own]


def tested(sets: Sequence[DataSet], ours: str) -> dict[str, Comparison]:
    r"""Signed-rank tests against each rival that all of these data sets have."""
    others = [name for name in rivals(ours) if _has(sets, name)]
    return wilcoxon(table(sets, [ours, *others], by_loss), ours, others)


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


def applications(
    name: str, records: Sequence[Record], ours: list[str]
) -> list[Application]:
    r"""An application, or its parts, each with its :func:`wider` data sets."""
    every = parted(name, arrange(records, shared))
    found = []
    for part, sets in parted(name, arrange(records)).items():
        made = Application(part, sets, ours, [*CONVENTIONAL])
        found.append(replace(made, wider=wider(made, every.get(part, []))))
    return found


def wider(application: Application, sets: Sequence[DataSet]) -> Application | None:
    r"""The data sets that have more readouts than all have in as many runs."""
    more = [data for data in sets if len(data.runs) > len(application.common)]
    return replace(application, sets=more) if more else None


def load(folder: Path, ours: list[str]) -> Report:
    r"""The results of a folder.

    Raises:
        ValueError: If the readout is unknown or there are no results.
    """
    for name in ours:
        resolve(name)
    wanted = {*SUITE, *ours}
    parts: list[Application] = []
    for path in sorted(folder.glob("*.jsonl")):
        records = [record for record in read(path) if record["readout"] in wanted]
        parts += applications(path.stem, records, ours)
    if not parts:
        raise ValueError(f"no results in '{folder}' (python -m benchmarks.suite)")
    return Report(parts, ours)


def main(argv: Sequence[str] | None = None) -> int:
    r"""Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    try:
        report = load(args.results, args.ours)
    except ValueError as error:
        print(f"report: {error}", file=sys.stderr)
        return 2
    notes = args.results / NOTES
    preface = notes.read_text("utf-8") if notes.exists() else ""
    blocks = report.blocks(preface, args.images)
    write_markdown(blocks, args.markdown)
    write_html(blocks, "torch_geometric_uotp: results", args.page)
    summary = args.results / "summary.json"
    summary.write_text(json.dumps(report.summary(), indent=1) + "\n", "utf-8")
    print(f"{args.markdown}\n{args.page}\n{summary}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
