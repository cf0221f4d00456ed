r"""What the report says about one application."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from benchmarks import curves, result_figures
from benchmarks.document import Block, Heading, Paragraph, Picture, Table
from benchmarks.results import (
    DataSet,
    Measure,
    Record,
    by_accuracy,
    by_auc,
    by_loss,
    common_readouts,
    table,
)
from benchmarks.statistics import (
    FEWEST_SETS,
    SignedRank,
    critical_difference,
    friedman,
    mean_ranks,
    smallest_detectable,
)

# Columns of a table of data sets.
WIDE = 8
TOO_FEW = (
    f"Too few data sets for tests over data sets: with fewer than {FEWEST_SETS} no "
    "signed-rank test can be significant at 5 % (here: {})."
)
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
        recorded (list): All readouts that were run, however often.
        incomplete (list): Names of data sets that are left out.
        wider (Application, optional): Some of the data sets with more readouts, in
            fewer runs. (default: none)
    """

    name: str
    sets: list[DataSet]
    ours: list[str]
    conventional: list[str]
    recorded: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
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
        self, tests: Mapping[str, Mapping[str, SignedRank]], images: Path
    ) -> list[Block]:
        r"""The application's section; its pictures are written to ``images``."""
        blocks: list[Block] = [Heading(self.name.capitalize()), self._provenance()]
        blocks += [_scores(self.sets), self._overview()]
        if len(self.sets) > 1:
            blocks.append(self._regret(images, "regret"))
        blocks += _auc([data for data in self.sets if data.name.startswith(BY_AUC)])
        if self.wider is not None:
            blocks += self.wider.further(images)
        present = [name for name in self.ours if name in self.common]
        blocks += [*self._unranked(), *(self._per_set(name) for name in present)]
        blocks += self._over_sets(tests, images)
        return [*blocks, *self._coefficients(present), *self._look(images)]

    def pooled(
        self, tests: Mapping[str, Mapping[str, SignedRank]], images: Path
    ) -> list[Block]:
        r"""The section of data sets that have been told of in others."""
        text = f"{counted(len(self.sets), 'data set')} of the sections above, together."
        head: list[Block] = [Heading(self.name.capitalize()), Paragraph(text)]
        return [*head, self._overview(), *self._over_sets(tests, images)]

    def _provenance(self) -> Paragraph:
        records = [record for data in self.sets for record in data.records()]
        versions = ", ".join(sorted({record["code"] for record in records}))
        torches = ", ".join(sorted({record["torch"] for record in records}))
        backends = ", ".join(sorted({record["backend"] for record in records}))
        diverged = sum(record.get("diverged", False) for record in records)
        runs = counted(len(records), "run")
        runs += f", {diverged:,} of which diverged," if diverged else ""
        lacking = ", ".join(self.incomplete)
        left_out = f" Left out, with readouts still to be run: {lacking}."
        return Paragraph(
            f"{runs} on {counted(len(self.sets), 'data set')}; "
            f"code {versions}; torch {torches}, {backends}. Accuracies are "
            "in percent, of test examples, at the epoch of the lowest validation loss."
            f"{left_out if lacking else ''}"
        )

    def _overview(self) -> Table:
        scores = table(self.sets, self.common)
        ranks = mean_ranks(scores)
        second = mean_ranks(table(self.sets, self.common, by_accuracy))
        regrets = self.regrets()
        head = [
            *("readout", "mean accuracy", "mean regret", "worst regret", "mean rank"),
            *("rank, 2nd rule", "own parameters"),
        ]
        rows = [
            [
                name,
                f"{100 * mean(row[name] for row in scores.values()):.2f}",
                _points(mean(row[name] for row in regrets.values())),
                _points(max(row[name] for row in regrets.values()), 1),
                f"{ranks[name]:.2f}",
                f"{second[name]:.2f}",
                f"{self._parameters(name):,.0f}",
            ]
            for name in sorted(self.common, key=ranks.__getitem__)
        ]
        return Table(head, rows)

    def _parameters(self, readout: str) -> float:
        runs = [run for data in self.sets for run in data.runs[readout].values()]
        return float(median(run["readout_parameters"] for run in runs))

    def further(self, images: Path) -> list[Block]:
        r"""What is said of it where it is the wider one."""
        counts = {len(runs) for data in self.sets for runs in data.runs.values()}
        names = ", ".join(data.name for data in self.sets)
        text = f"More readouts, in {_span(counts)} runs a data set, on {names}:"
        return [Paragraph(text), self._overview(), self._regret(images, "more")]

    def _regret(self, images: Path, what: str) -> Picture:
        place = images / f"results_{self._short}_{what}.png"
        title = f"{self.name}: regret"
        curves.save(result_figures.regret_map(self.regrets(), title), place)
        return Picture(place, "Points behind the best conventional readout")

    @property
    def _short(self) -> str:
        return self.name.replace(": ", "_").replace(" ", "_")

    def _unranked(self) -> list[Block]:
        ranked = {*self.common, *(self.wider.common if self.wider else ())}
        left = [name for name in self.recorded if name not in ranked]
        text = f"Recorded in too few runs to be ranked: {', '.join(left)}."
        return [Paragraph(text)] if left else []

    def _over_sets(
        self, tests: Mapping[str, Mapping[str, SignedRank]], images: Path
    ) -> list[Block]:
        if len(self.sets) < FEWEST_SETS:
            return [Paragraph(TOO_FEW.format(counted(len(self.sets), "data set")))]
        tables = [_tested(ours, against) for ours, against in tests.items()]
        ranks = [self._ranks(images)] if len(self.common) > 1 else []
        return [*ranks, *tables]

    def _ranks(self, images: Path) -> Picture:
        p = friedman(table(self.sets, self.common))
        distance = critical_difference(len(self.common), len(self.sets))
        diagram = result_figures.critical_difference_diagram(
            mean_ranks(table(self.sets, self.common)),
            distance,
            self.ours,
            f"{self.name}\n{len(self.sets)} sets, Friedman p = {p:.2g}",
        )
        place = images / f"results_{self._short}_ranks.png"
        curves.save(diagram, place)
        text = f"Mean ranks; a bar joins what may be equal (Friedman p = {p:.2g})"
        return Picture(place, text)

    def _per_set(self, ours: str) -> Table:
        head = [
            *("data set", "runs", "test examples", "best conventional", "its accuracy"),
            *(f"{ours} minus it", "95 % interval", "p", "smallest detectable"),
        ]
        return Table(head, [self._row(data, ours) for data in self.sets])

    def _row(self, data: DataSet, ours: str) -> list[str]:
        best = self.best(data)
        runs = data.runs[best].values()
        tested = _span({record["num_test"] for record in runs})
        facts = [data.name, str(len(runs)), tested]
        accuracy = f"{100 * data.mean(best):.1f}"
        differences = data.differences(ours, best)
        facts += [best, accuracy, _points(mean(differences))]
        found = data.compare(ours, best)
        if found is None:
            return [*facts, "", "", ""]
        least = smallest_detectable(
            stdev(differences), len(differences), data.test_ratio()
        )
        interval = _interval(found.low, found.high, 1)
        return [*facts, interval, f"{found.p:.2g}", f"{100 * least:.1f}"]

    def _look(self, images: Path) -> list[Block]:
        name, caption = LOOKS.get(self.name, ("", ""))
        return [Picture(images / name, caption)] if (images / name).is_file() else []

    def _coefficients(self, ours: Sequence[str]) -> list[Block]:
        rows = [row for name in ours for row in self._learned(name)]
        text = "What each head learned, median over all runs:"
        head = ["readout and head", "t = 1/α0", "r_q"]
        return [Paragraph(text), Table(head, rows)] if rows else []

    def _learned(self, readout: str) -> list[list[str]]:
        runs = [run for data in self.sets for run in data.runs[readout].values()]
        heads = zip(*(_medians(runs, what) for what in ("t", "r_q")), strict=True)
        return [[f"{readout}, {n}", *values] for n, values in enumerate(heads, start=1)]


def _tested(ours: str, against: Mapping[str, SignedRank]) -> Table:
    head = [
        *(f"{ours} minus", "mean (points)", "median", "ahead", "behind"),
        "95 % interval (Hodges-Lehmann)",
        *("p (Wilcoxon)", "p (Holm)"),
    ]
    rows = [
        [
            *(other, _points(found.mean), _points(found.median)),
            *(str(found.ahead), str(found.behind)),
            *(_interval(found.low, found.high), f"{found.p:.2g}"),
            "" if found.holm is None else f"{found.holm:.2g}",
        ]
        for other, found in against.items()
    ]
    return Table(head, rows)


def counted(count: int, what: str) -> str:
    r"""A number and a noun, such as ``2 runs``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _points(value: float, digits: int = 2) -> str:
    return f"{100 * value:+z.{digits}f}"


def _interval(low: float, high: float, digits: int = 2) -> str:
    return f"{_points(low, digits)} to {_points(high, digits)}"


def _scores(sets: Sequence[DataSet], measure: Measure = by_loss) -> Table:
    """Means and deviations of all readouts; of many data sets, of what all have."""
    if len(sets) > WIDE:
        common = common_readouts(sets)
        lines = [[d.name, *(_score(d, name, measure) for name in common)] for d in sets]
        return Table(["data set", *common], lines)
    names = dict.fromkeys(name for data in sets for name in data.readouts)
    rows = [[name, *(_score(data, name, measure) for data in sets)] for name in names]
    return Table(["readout", *(data.name for data in sets)], rows)


def _score(data: DataSet, name: str, measure: Measure) -> str:
    if name not in data.runs or not data.scores(name, measure):
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


def _medians(runs: Sequence[Record], what: str) -> list[str]:
    tables = [run["coefficients"].get(what) for run in runs]
    rows = [mean_of_steps(table) for table in tables if table]
    return [f"{median(head):.2f}" for head in zip(*rows, strict=True)]


def mean_of_steps(steps: Sequence[Sequence[float | None]]) -> list[float]:
    r"""Each head's mean over the steps; what JSON has no number for is infinite."""
    return [
        mean(math.inf if value is None else value for value in head)
        for head in zip(*steps, strict=True)
    ]
