r"""Which differences between readouts are more than chance.

Tables map each data set to its readouts' mean scores, so that all rows have the same
columns.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, median, variance
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

QUANTILES = 4000
# With five data sets the smallest p-value of a signed-rank test is 1/16.
FEWEST_SETS = 6

Table = Mapping[str, Mapping[str, float]]


class Comparison(NamedTuple):
    r"""A mean difference, its 95 % interval, and the p-value of none."""

    difference: float
    low: float
    high: float
    p: float


class SignedRank(NamedTuple):
    r"""Differences over data sets: their mean, median, and what ranks say of them.

    ``ahead`` and ``behind`` count the positive and the negative ones. The 95 % interval
    is that of :func:`hodges_lehmann`, ``p`` that of Wilcoxon's signed-rank test, and
    ``holm`` the same, adjusted for the number of tests; none for a question of its own.
    """

    mean: float
    median: float
    ahead: int
    behind: int
    low: float
    high: float
    p: float
    holm: float | None


def settled(values: Iterable[float]) -> list[float]:
    r"""The same without the last digits, so that what is equal but for them is."""
    return [round(value, 9) for value in values]


def corrected_t(differences: Sequence[float], test_ratio: float) -> Comparison | None:
    r"""The corrected resampled t-test of `"Inference for the Generalization Error"
    <https://doi.org/10.1023/A:1024068626366>`_ (Nadeau and Bengio).

    With J paired differences of mean m and variance s², t is
    :math:`m / (s \sqrt{1/J + n_2/n_1})` on J - 1 degrees of freedom.

    There is none if all differences are equal: nothing tells how far they vary.

    Args:
        differences (Sequence): Of two readouts, run by run.
        test_ratio (float): n₂ / n₁, test examples for each other example; 0 if
            the runs are independent.
    """
    differences = settled(differences)
    if len(set(differences)) < 2:
        return None
    center, degrees = mean(differences), len(differences) - 1
    spread = math.sqrt(variance(differences) * _inflation(len(differences), test_ratio))
    reach = spread * float(stats.t.ppf(0.975, degrees))
    p = 2 * float(stats.t.sf(abs(center) / spread, degrees))
    return Comparison(center, center - reach, center + reach, p)


def _inflation(runs: int, test_ratio: float) -> float:
    return 1 / runs + test_ratio


def smallest_detectable(
    deviation: float, runs: int, test_ratio: float, power: float = 0.8
) -> float:
    r"""The difference that :func:`corrected_t` finds at 5 % with that power.

    Args:
        deviation (float): Standard deviation of a run's difference.
        runs (int): At least two.
        test_ratio (float): As in :func:`corrected_t`.
        power (float): The probability to find it. (default: :obj:`0.8`)
    """
    degrees = runs - 1
    # SciPy's noncentral t is NaN at few degrees of freedom: average the normal law
    # over evenly likely values of the estimated deviation instead.
    likely = (np.arange(QUANTILES) + 0.5) / QUANTILES
    bounds = stats.t.ppf(0.975, degrees) * np.sqrt(
        stats.chi2.ppf(likely, degrees) / degrees
    )

    def surplus(shift: float) -> float:
        found = stats.norm.sf(bounds - shift) + stats.norm.cdf(-bounds - shift)
        return float(found.mean()) - power

    shift = optimize.brentq(surplus, 0, 1000)
    return float(shift * deviation * math.sqrt(_inflation(runs, test_ratio)))


def holm(p: Sequence[float]) -> list[float]:
    r"""p-values, adjusted for their number by Holm's step-down procedure."""
    order = np.argsort(p)
    raised = np.asarray(p)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(raised))
    return [float(value) for value in adjusted]


def mean_ranks(table: Table) -> dict[str, float]:
    r"""Each readout's rank, 1 is best, ties shared, averaged over the data sets."""
    names = list(next(iter(table.values())))
    scores = np.array([settled(row[name] for name in names) for row in table.values()])
    ranks = stats.rankdata(-scores, axis=1).mean(0)
    return dict(zip(names, map(float, ranks), strict=True))


def friedman(table: Table) -> float:
    r"""The p-value of the Friedman test that all readouts are equally good.

    It needs three readouts and two data sets; with fewer, or with no two scores
    different, nothing can be told, and it is 1.
    """
    names = list(next(iter(table.values())))
    columns = [settled(row[name] for row in table.values()) for name in names]
    if len(names) < 3 or len(table) < 2 or len(set(map(tuple, columns))) == 1:
        return 1.0
    return float(stats.friedmanchisquare(*columns).pvalue)


def critical_difference(num_readouts: int, num_sets: int) -> float:
    r"""How far mean ranks must be apart to differ at 5 %, by Nemenyi's test.

    :math:`q \sqrt{k (k + 1) / (6 N)}`, from `"Statistical Comparisons of Classifiers
    over Multiple Data Sets" <https://jmlr.org/papers/v7/demsar06a.html>`_.
    """
    q = float(stats.studentized_range.ppf(0.95, num_readouts, np.inf)) / math.sqrt(2)
    return q * math.sqrt(num_readouts * (num_readouts + 1) / (6 * num_sets))


def wilcoxon(table: Table, ours: str, others: Sequence[str]) -> dict[str, SignedRank]:
    r"""Signed-rank tests of ours against each other one, over the data sets.

    They are two-sided; ranks of differences that are 0 are shared by both signs, as in
    `"Statistical Comparisons of Classifiers over Multiple Data Sets"
    <https://jmlr.org/papers/v7/demsar06a.html>`_. Holm's procedure adjusts for the
    number of others.

    Args:
        table (Mapping): Of at least :obj:`FEWEST_SETS` data sets.
        ours (str): The readout to judge.
        others (Sequence): Those it is compared with.
    """
    alone = {
        other: signed_rank(row[ours] - row[other] for row in table.values())
        for other in others
    }
    adjusted = holm([test.p for test in alone.values()])
    pairs = zip(alone.items(), adjusted, strict=True)
    return {other: test._replace(holm=p) for (other, test), p in pairs}


def signed_rank(differences: Iterable[float]) -> SignedRank:
    r"""The same of one list of differences, at least :obj:`FEWEST_SETS`."""
    d = settled(differences)
    p = float(stats.wilcoxon(d, zero_method="zsplit").pvalue) if any(d) else 1.0
    ahead, behind = sum(x > 0 for x in d), sum(x < 0 for x in d)
    return SignedRank(mean(d), median(d), ahead, behind, *hodges_lehmann(d), p, None)


def hodges_lehmann(differences: Sequence[float]) -> tuple[float, float]:
    r"""The 95 % interval of what Hodges and Lehmann estimate, by signed ranks.

    It holds the shifts that the two-sided signed-rank test does not reject at 5 %: its
    ends are the k-th lowest and k-th highest of the Walsh averages
    :math:`(d_i + d_j) / 2`, :math:`i \le j`, where k is the largest number that the
    test's statistic falls short of with a probability of at most 2.5 % (Hollander and
    Wolfe, "Nonparametric Statistical Methods", section 3.3).

    Args:
        differences (Sequence): At least :obj:`FEWEST_SETS`.

    Raises:
        ValueError: If there are fewer, and so no such interval.
    """
    if len(differences) < FEWEST_SETS:
        raise ValueError(
            f"a signed-rank interval needs {FEWEST_SETS} differences "
            f"(got {len(differences)})"
        )
    first, second = np.triu_indices(len(differences))
    values = np.asarray(differences)
    averages = np.sort((values[first] + values[second]) / 2)
    k = int((np.cumsum(_rank_sums(len(values))) <= 0.025).sum())
    return float(averages[k - 1]), float(averages[-k])


def _rank_sums(count: int) -> np.ndarray:
    """Probabilities of 0, 1, ...: the sum of those of ``count`` ranks a coin picks."""
    sums = np.ones(1)
    for rank in range(1, count + 1):
        sums = (np.pad(sums, (0, rank)) + np.pad(sums, (rank, 0))) / 2
    return sums
