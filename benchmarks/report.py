r"""The report of the recorded runs.

    python -m benchmarks.report
    python -m benchmarks.report --ours safe --page runs/report.html

Reads ``*.jsonl`` of the results folder; writes a Markdown page with its pictures, the
same as one HTML file, and the figures alone as JSON.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.document import Block, Heading, Paragraph, write_html, write_markdown
from benchmarks.readouts import CONVENTIONAL, READOUTS
from benchmarks.report_parts import Application
from benchmarks.results import DataSet, arrange, by_loss, common_readouts, read, table
from benchmarks.statistics import Comparison, wilcoxon

NOTES = "notes.md"
ALL = "all data sets"
# What ours must beat: four conventional readouts, itself without transport, and
# conventional ones side by side.
RIVALS = (
    "mean",
    "max",
    "sum",
    "attention",
    "softmax1",
    "uotp-rq0",
    "mean||max||attention",
    "mean||max||sum",
)


def parser() -> argparse.ArgumentParser:
    r"""The command line."""
    made = argparse.ArgumentParser("report", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    add = made.add_argument
    add("--results", type=Path, default=Path("benchmarks/results"), help="folder")
    add("--ours", default="uotp", help="the readout to judge")
    add("--markdown", type=Path, default=Path("docs/results.md"))
    add("--images", type=Path, default=Path("docs/images"), help="folder")
    add("--page", type=Path, default=Path("runs/report.html"), help="HTML")
    return made


@dataclass(frozen=True)
class Report:
    r"""All applications that have results.

    Args:
        applications (list): Their data sets.
        ours (str): The readout to judge.
    """

    applications: list[Application]
    ours: str

    def rivals(self, sets: Sequence[DataSet]) -> list[str]:
        r"""What ours is tested against, where all of these data sets have it."""
        common = common_readouts(sets)
        own = [f"{self.ours}-rq0"] if f"{self.ours}-rq0" in READOUTS else []
        wanted = dict.fromkeys([*RIVALS, *own])
        return [name for name in wanted if name in common and name != self.ours]

    def tests(self) -> dict[str, dict[str, Comparison]]:
        r"""Signed-rank tests, by application and over all data sets."""
        groups = {part.name: part.sets for part in self.applications}
        groups[ALL] = [data for part in self.applications for data in part.sets]
        return {
            name: self._tests(sets)
            for name, sets in groups.items()
            if len(sets) > 1 and self.ours in common_readouts(sets)
        }

    def _tests(self, sets: Sequence[DataSet]) -> dict[str, Comparison]:
        rivals = self.rivals(sets)
        scores = table(sets, [self.ours, *rivals], by_loss)
        return wilcoxon(scores, self.ours, rivals)

    def summary(self) -> dict[str, Any]:
        r"""The figures as JSON values."""
        tests = {
            name: {other: found._asdict() for other, found in group.items()}
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
            blocks += [Heading("All data sets"), part.tested(tests[ALL])]
        return blocks


def load(folder: Path, ours: str) -> Report:
    r"""The results of a folder.

    Raises:
        ValueError: If the readout is unknown or there are no results.
    """
    if ours not in READOUTS:
        raise ValueError(f"no readout '{ours}' (choose from: {', '.join(READOUTS)})")
    parts = []
    for path in sorted(folder.glob("*.jsonl")):
        records = read(path)
        if records:
            parts.append(
                Application(path.stem, arrange(records), ours, [*CONVENTIONAL])
            )
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
