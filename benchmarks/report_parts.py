r"""What the report says about one application."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from benchmarks import curves, result_figures
from benchmarks.document import Block, Heading, Paragraph, Picture, Table
from benchmarks.results import (
    DataSet,
    Measure,
    by_accuracy,
    by_auc,
    by_loss,
    common_readouts,
    table,
)
from benchmarks.statistics import (
    Comparison,
    critical_difference,
    friedman,
    mean_ranks,
    smallest_detectable,
)

WIDE = 8
# What the literature compares by the area under the ROC curve.
BY_AUC = "MNIST-bags"
# Made by benchmarks.gallery and benchmarks.bag_figure.
LOOKS = {
    "graphs": ("shares_graph.png", "What the plan looks at: shares of atoms"),
    "bags": ("shares_bag.png", "What the plan looks at: does the bag hold a 9?"),
    "images": ("shares_image.png", "What the plan looks at: shares of pixels"),
}


@dataclass(frozen=True)
class Application:
    r"""An application's data sets and the readout to judge by them.

    Args:
        name (str): Its name.
        sets (list): Its data sets.
        ours (list): The readouts to judge.
        conventional (list): What it is judged against, as far as it was run.
        wider (Application, optional): Some of the data sets with more readouts, in
            fewer runs. (default: none)
    """

    name: str
    sets: list[DataSet]
    ours: list[str]
    conventional: list[str]
    wider: "Application | None" = None

    @cached_property
    def common(self) -> list[str]:
        r"""The readouts that all data sets have."""
        return common_readouts(self.sets)

    def best(self, data: DataSet) -> str:
        r"""The best conventional readout of a data set, chosen by validation."""
        return data.best(self.conventional)

    def regrets(self) -> dict[str, dict[str, float]]:
        r"""By data set and readout: how far behind the best conventional one."""
        return {
            data.name: {
                name: data.mean(self.best(data)) - data.mean(name)
                for name in self.common
            }
            for data in self.sets
        }

    def summary(self) -> dict[str, Any]:
        r"""Mean, standard deviation and number of runs, and mean ranks."""
        found: dict[str, Any] = {
            data.name: {
                name: {
                    "mean": data.mean(name),
                    "std": data.deviation(name),
                    "n": len(data.runs[name]),
                }
                for name in data.readouts
            }
            for data in self.sets
        }
        return {**found, "mean_rank": mean_ranks(table(self.sets, self.common))}

    def blocks(
        self, tests: Mapping[str, Mapping[str, Comparison]], images: Path
    ) -> list[Block]:
        r"""The application's section; its pictures are written to ``images``."""
        blocks: list[Block] = [Heading(self.name.capitalize()), self._provenance()]
        if len(self.sets) <= WIDE:
            blocks.append(_scores(self.sets))
        by_auc = [data for data in self.sets if data.name.startswith(BY_AUC)]
        blocks += [self._overview(), *self._pictures(images), *_auc(by_auc)]
        if self.wider is not None:
            blocks += self.wider.further(images)
        present = [name for name in self.ours if name in self.common]
        blocks += [self._per_set(name) for name in present]
        blocks += self.tested(tests)
        for name in present:
            blocks += self._coefficients(name)
        return [*blocks, *self._look(images)]

    def _provenance(self) -> Paragraph:
        records = [record for data in self.sets for record in data.records()]
        versions = ", ".join(sorted({record["code"] for record in records}))
        torches = ", ".join(sorted({record["torch"] for record in records}))
        backends = ", ".join(sorted({record["backend"] for record in records}))
        return Paragraph(
            f"{len(records):,} runs on {len(self.sets)} "
            f"data sets; code {versions}; torch {torches}, {backends}. Accuracies are "
            "in percent, of test examples, at the epoch of the lowest validation loss."
        )

    def _overview(self) -> Table:
        scores = table(self.sets, self.common)
        ranks = mean_ranks(scores)
        second = mean_ranks(table(self.sets, self.common, by_accuracy))
        regrets = self.regrets()
        head = [
            *("readout", "mean accuracy", "mean regret", "worst regret", "mean rank"),
            *("rank, 2nd rule", "own parameters", "s / epoch"),
        ]
        rows = [
            [
                name,
                f"{100 * mean(row[name] for row in scores.values()):.2f}",
                f"{100 * mean(row[name] for row in regrets.values()):+.2f}",
                f"{100 * max(row[name] for row in regrets.values()):+.1f}",
                f"{ranks[name]:.2f}",
                f"{second[name]:.2f}",
                f"{self._median(name, 'readout_parameters'):,.0f}",
                f"{self._median(name, 'seconds_per_epoch'):.3f}",
            ]
            for name in sorted(self.common, key=ranks.__getitem__)
        ]
        return Table(head, rows)

    def _median(self, readout: str, what: str) -> float:
        runs = [run for data in self.sets for run in data.runs[readout].values()]
        return float(median(run[what] for run in runs))

    def further(self, images: Path) -> list[Block]:
        r"""What is said of it where it is the wider one."""
        counts = {len(runs) for data in self.sets for runs in data.runs.values()}
        names = ", ".join(data.name for data in self.sets)
        text = f"More readouts, with {_span(counts)} runs a data set, on {names}:"
        return [Paragraph(text), self._overview(), self._regret(images, "more")]

    def _regret(self, images: Path, what: str) -> Picture:
        place = images / f"results_{self._short}_{what}.png"
        title = f"{self.name}: regret"
        curves.save(result_figures.regret_map(self.regrets(), title), place)
        return Picture(place, "Points behind the best conventional readout")

    @property
    def _short(self) -> str:
        return self.name.replace(": ", "_").replace(" ", "_")

    def _pictures(self, images: Path) -> list[Block]:
        if len(self.sets) < 2:
            return []
        p = friedman(table(self.sets, self.common))
        distance = critical_difference(len(self.common), len(self.sets))
        diagram = result_figures.critical_difference_diagram(
            mean_ranks(table(self.sets, self.common)),
            distance,
            self.ours,
            f"{self.name}: {len(self.sets)} data sets, Friedman p = {p:.2g}",
        )
        ranks = images / f"results_{self._short}_ranks.png"
        curves.save(diagram, ranks)
        text = f"Mean ranks; a bar joins what may be equal (Friedman p = {p:.2g})"
        return [Picture(ranks, text), self._regret(images, "regret")]

    def _per_set(self, ours: str) -> Table:
        head = [
            *("data set", "runs", "test examples", "best conventional", "its accuracy"),
            *(f"{ours} minus it", "95 % interval", "p", "smallest detectable"),
        ]
        return Table(head, [self._row(data, ours) for data in self.sets])

    def _row(self, data: DataSet, ours: str) -> list[str]:
        best = self.best(data)
        record = next(iter(data.runs[best].values()))
        facts = [data.name, str(len(data.runs[best])), str(record["num_test"])]
        accuracy = f"{100 * data.mean(best):.1f}"
        found = data.compare(ours, best)
        if found is None:
            return [*facts, best, accuracy, "", "", "", ""]
        differences = data.differences(ours, best)
        least = smallest_detectable(
            stdev(differences), len(differences), data.test_ratio()
        )
        return [
            *(*facts, best, accuracy, f"{100 * found.difference:+.2f}"),
            f"{100 * found.low:+.1f} to {100 * found.high:+.1f}",
            *(f"{found.p:.2g}", f"{100 * least:.1f}"),
        ]

    def tested(self, tests: Mapping[str, Mapping[str, Comparison]]) -> list[Table]:
        r"""Signed-rank tests of each of ours against the others, over data sets."""
        return [_tested(ours, against) for ours, against in tests.items()]

    def _look(self, images: Path) -> list[Block]:
        name, caption = LOOKS.get(self.name, ("", ""))
        return [Picture(images / name, caption)] if (images / name).is_file() else []

    def _coefficients(self, ours: str) -> list[Block]:
        rows = [
            [data.name, *(_learned(data, ours, what) for what in ("t", "r_q"))]
            for data in self.sets
        ]
        if not any(text for _, *texts in rows for text in texts):
            return []
        text = f"What {ours} learned in each head, mean and range over the runs:"
        return [Paragraph(text), Table(["data set", "t = 1/α0", "r_q"], rows)]


def _tested(ours: str, against: Mapping[str, Comparison]) -> Table:
    head = [f"{ours} minus", "points", "95 % interval", "p (Wilcoxon, Holm)"]
    rows = [
        [
            other,
            f"{100 * found.difference:+.2f}",
            f"{100 * found.low:+.2f} to {100 * found.high:+.2f}",
            f"{found.p:.2g}",
        ]
        for other, found in against.items()
    ]
    return Table(head, rows)


def _scores(sets: Sequence[DataSet], measure: Measure = by_loss) -> Table:
    names = dict.fromkeys(name for data in sets for name in data.readouts)
    rows = [[name, *(_score(data, name, measure) for data in sets)] for name in names]
    return Table(["readout", *(data.name for data in sets)], rows)


def _score(data: DataSet, name: str, measure: Measure) -> str:
    if name not in data.runs:
        return ""
    deviation = data.deviation(name, measure)
    return f"{100 * data.mean(name, measure):.1f} ± {100 * deviation:.1f}"


def _auc(sets: Sequence[DataSet]) -> list[Block]:
    if not sets:
        return []
    text = "Area under the ROC curve, in percent, at the same epochs:"
    return [Paragraph(text), _scores(sets, by_auc)]


def _span(counts: Collection[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _learned(data: DataSet, readout: str, what: str) -> str:
    tables = [run["coefficients"].get(what) for run in data.runs[readout].values()]
    rows = [mean_of_steps(table) for table in tables if table]
    return "; ".join(_range(head) for head in zip(*rows, strict=True))


def mean_of_steps(steps: Sequence[Sequence[float | None]]) -> list[float]:
    r"""Each head's mean over the steps; what JSON has no number for is infinite."""
    return [
        mean(math.inf if value is None else value for value in head)
        for head in zip(*steps, strict=True)
    ]


def _range(values: Sequence[float]) -> str:
    return f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"
