r"""The recorded runs of an application, arranged for comparison."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.readouts import DECISIVE
from benchmarks.records import Records
from benchmarks.statistics import Comparison, corrected_t, settled

Record = Mapping[str, Any]
Place = tuple[int, int]
Measure = Callable[[Record], float | None]
Runs = Mapping[str, Mapping[Place, Record]]

NEEDED = (
    *("test_accuracy", "val_accuracy", "by_accuracy", "num_test", "test_ratio"),
    *("torch", "backend", "readout_parameters", "seconds", "coefficients"),
)


def by_loss(record: Record) -> float:
    r"""Test accuracy at the epoch of the lowest validation loss."""
    return _exact(record["test_accuracy"], record)


def by_accuracy(record: Record) -> float:
    r"""Test accuracy at the epoch of the highest validation accuracy."""
    return _exact(record["by_accuracy"]["test_accuracy"], record)


def _exact(accuracy: float, record: Record) -> float:
    """Of six digits: as many right answers always give the same mean."""
    count = record["num_test"]
    return float(round(accuracy * count) / count)


def by_auc(record: Record) -> float | None:
    r"""Area under the test's ROC curve, at the epoch of :func:`by_loss`, if known."""
    area = record.get("test_auc")
    return None if area is None else float(area)


@dataclass(frozen=True)
class DataSet:
    r"""The runs of a data set: records by readout, then by fold and seed.

    Args:
        name (str): Its name.
        runs (Mapping): Of one configuration, the last record of each run. All
            readouts have the same runs.
    """

    name: str
    runs: Runs

    @property
    def readouts(self) -> list[str]:
        r"""Their names, in order of first appearance."""
        return list(self.runs)

    def records(self) -> Iterator[Record]:
        r"""All of its records."""
        for runs in self.runs.values():
            yield from runs.values()

    def scores(self, readout: str, measure: Measure = by_loss) -> list[float]:
        r"""A score for each run of a readout that has one."""
        scores = map(measure, self.runs[readout].values())
        return [score for score in scores if score is not None]

    def mean(self, readout: str, measure: Measure = by_loss) -> float:
        r"""The mean score of a readout."""
        return mean(self.scores(readout, measure))

    def deviation(self, readout: str, measure: Measure = by_loss) -> float:
        r"""The standard deviation over the runs, 0 if there is one."""
        scores = self.scores(readout, measure)
        return stdev(scores) if len(scores) > 1 else 0.0

    def differences(self, one: str, other: str) -> list[float]:
        r"""Of the scores of two readouts, run by run."""
        return settled(
            by_loss(self.runs[one][place]) - by_loss(self.runs[other][place])
            for place in self.runs[one]
        )

    def test_ratio(self) -> float:
        r"""For :func:`~benchmarks.statistics.corrected_t`, the mean over runs."""
        return mean(float(record["test_ratio"]) for record in self.records())

    def compare(self, one: str, other: str) -> Comparison | None:
        r"""One readout minus the other; none where no two differences differ."""
        return corrected_t(self.differences(one, other), self.test_ratio())

    def best(self, readouts: Iterable[str]) -> str:
        r"""The readout of the highest mean validation accuracy, the first at a tie."""

        def validation(name: str) -> float:
            return round(self.mean(name, lambda run: float(run["val_accuracy"])), 5)

        return max((name for name in readouts if name in self.runs), key=validation)


def read(path: Path) -> list[Record]:
    r"""The records of a file of the suite; says how many lines are incomplete.

    Raises:
        ValueError: If a record is not one of the suite.
    """
    records = Records(path)
    records.warn()
    for record in records:
        lacking = [name for name in NEEDED if name not in record]
        if lacking:
            raise ValueError(
                f"'{path}' has a record without '{lacking[0]}', which is not of "
                "benchmarks.suite"
            )
    return [*records]


def paired(runs: Runs) -> Runs:
    r"""The readouts that have as many runs as those that decide, in the same runs.

    Which runs count is a matter of the readouts of :obj:`DECISIVE`, if there are any:
    of their numbers of runs, the one that keeps most records decides, the smaller one
    at a tie. So neither an interrupted suite nor a readout that was tried once hides
    what the others have.
    """
    deciding = {name: runs[name] for name in DECISIVE if name in runs} or runs
    counts = sorted(len(places) for places in deciding.values())
    least = max(counts, key=lambda n: n * sum(count >= n for count in counts))
    often = [set(places) for places in deciding.values() if len(places) >= least]
    common = set.intersection(*often)
    return shared({name: runs[name] for name in runs if common <= set(runs[name])})


def repeated(runs: Runs) -> Runs:
    r"""All readouts that have two runs at least, in the runs that all of these have."""
    return shared({name: runs[name] for name in runs if len(runs[name]) > 1})


def shared(runs: Runs) -> Runs:
    r"""All readouts, in the runs that all of them have."""
    common = set(next(iter(runs.values()), ())).intersection(*runs.values())
    return {
        name: {place: record for place, record in places.items() if place in common}
        for name, places in runs.items()
    }


def arrange(
    records: Iterable[Record], pair: Callable[[Runs], Runs] = paired
) -> list[DataSet]:
    r"""Groups records by data set.

    Where a data set was run in several configurations, the one with the most records
    counts, and no other. All readouts are compared in the same runs. A data set with
    no such run is left out.

    Args:
        records (Iterable): Records of one application.
        pair (Callable, optional): Which readouts and runs of a data set are kept.
            (default: :func:`paired`)
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record["dataset"], []).append(record)
    sets = [DataSet(name, pair(_runs(group))) for name, group in groups.items()]
    return [data for data in sets if any(data.runs.values())]


def _runs(records: list[Record]) -> Runs:
    counts = Counter(record["configuration"] for record in records)
    configuration, _ = counts.most_common(1)[0]
    runs: dict[str, dict[Place, Record]] = {}
    for record in records:
        if record["configuration"] == configuration:
            place = (record["fold"], record["seed"])
            runs.setdefault(record["readout"], {})[place] = record
    return runs


def common_readouts(sets: Iterable[DataSet]) -> list[str]:
    r"""The readouts that all data sets have, in the order of the first."""
    lists = [data.readouts for data in sets]
    return [name for name in lists[0] if all(name in names for names in lists)]


def complete(sets: Sequence[DataSet]) -> list[DataSet]:
    r"""Those that have every readout of :obj:`DECISIVE` that most data sets have.

    What is said of several data sets is said of the readouts that all of them have: one
    of which little was run would take readouts away from all others. If none has every
    one, all stay.
    """
    counts = Counter(name for data in sets for name in data.runs)
    usual = {name for name in DECISIVE if 2 * counts[name] > len(sets)}
    return [data for data in sets if usual <= data.runs.keys()] or [*sets]


def table(
    sets: Iterable[DataSet], readouts: Iterable[str], measure: Measure = by_loss
) -> dict[str, dict[str, float]]:
    r"""Mean scores by data set and readout."""
    names = list(readouts)
    return {data.name: {n: data.mean(n, measure) for n in names} for data in sets}
