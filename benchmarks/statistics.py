r"""Which differences between readouts are more than chance.

Tables map each data set to its readouts' mean scores, so that all rows have the same
columns.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import mean, variance
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

QUANTILES = 4000

Table = Mapping[str, Mapping[str, float]]


class Comparison(NamedTuple):
    r"""A mean difference, its 95 % interval, and the p-value of none."""

    difference: float
    low: float
    high: float
    p: float


def corrected_t(differences: Sequence[float], test_ratio: float) -> Comparison:
    r"""The corrected resampled t-test of `"Inference for the Generalization Error"
    <https://doi.org/10.1023/A:1024068626366>`_ (Nadeau and Bengio).

    With J paired differences of mean m and variance s², t is
    :math:`m / (s \sqrt{1/J + n_2/n_1})` on J - 1 degrees of freedom.

    Args:
        differences (Sequence): Of two readouts, run by run; at least two.
        test_ratio (float): n₂ / n₁, test examples for each other example; 0 if
            the runs are independent.
    """
    center = mean(differences)
    spread = math.sqrt(variance(differences) * _inflation(len(differences), test_ratio))
    degrees = len(differences) - 1
    if spread == 0:
        return Comparison(center, center, center, 0.0 if center else 1.0)
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
    scores = np.array([[row[name] for name in names] for row in table.values()])
    ranks = stats.rankdata(-scores, axis=1).mean(0)
    return dict(zip(names, map(float, ranks), strict=True))


def friedman(table: Table) -> float:
    r"""The p-value of the Friedman test that all readouts are equally good.

    It needs three readouts and two data sets; with fewer, or with no two scores
    different, nothing can be told, and it is 1.
    """
    names = list(next(iter(table.values())))
    columns = [[row[name] for row in table.values()] for name in names]
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


def wilcoxon(table: Table, ours: str, others: Sequence[str]) -> dict[str, Comparison]:
    r"""Signed-rank tests of ours against each other one, over the data sets.

    The p-values are two-sided and adjusted by Holm's procedure for their number. The
    interval is that of the mean difference, by Student's t over the data sets.
    """
    found = {}
    for other in others:
        differences = [row[ours] - row[other] for row in table.values()]
        interval = corrected_t(differences, 0.0)
        found[other] = interval._replace(p=_signed_rank(differences))
    adjusted = holm([comparison.p for comparison in found.values()])
    return {
        other: comparison._replace(p=p)
        for (other, comparison), p in zip(found.items(), adjusted, strict=True)
    }


def _signed_rank(differences: Sequence[float]) -> float:
    if not any(differences):
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)
