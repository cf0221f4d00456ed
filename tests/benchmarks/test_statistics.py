import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.statistics import (
    corrected_t,
    critical_difference,
    friedman,
    hodges_lehmann,
    holm,
    mean_ranks,
    smallest_detectable,
    wilcoxon,
)

DIFFERENCES = [0.02, -0.01, 0.03, 0.01, 0.04, 0.0]
TABLE = {
    "one": {"a": 0.9, "b": 0.8, "c": 0.7},
    "two": {"a": 0.6, "b": 0.6, "c": 0.5},
    "three": {"a": 0.7, "b": 0.5, "c": 0.8},
}


def test_independent_runs_are_students_t():
    found = corrected_t(DIFFERENCES, 0.0)
    expected = stats.ttest_1samp(DIFFERENCES, 0)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_overlapping_runs_widen_the_interval():
    plain, corrected = (corrected_t(DIFFERENCES, ratio) for ratio in (0.0, 1 / 9))
    widened = math.sqrt((1 / 6 + 1 / 9) / (1 / 6))
    assert corrected.high - corrected.low == pytest.approx(
        widened * (plain.high - plain.low)
    )
    assert corrected.p > plain.p
    assert corrected.difference == plain.difference


@pytest.mark.parametrize("differences", [[0.0] * 3, [0.3, 0.1 + 0.2], [0.1], []])
def test_runs_without_spread_tell_nothing(differences):
    assert corrected_t(differences, 0.1) is None


@pytest.mark.parametrize("ratio", [0.0, 1 / 9])
def test_the_smallest_detectable_difference_is_detected_four_times_in_five(ratio):
    runs, deviation, rng = 10, 0.03, np.random.default_rng(0)
    least = smallest_detectable(deviation, runs, ratio)
    # Runs of shared examples have a common part, of the variance the test assumes.
    shared = math.sqrt(ratio) * rng.normal(size=(2500, 1))
    drawn = least + deviation * (shared + rng.normal(size=(2500, runs)))
    found = np.mean([corrected_t(list(row), ratio).p < 0.05 for row in drawn])
    assert found == pytest.approx(0.8, abs=0.02)


def test_more_runs_detect_less():
    assert smallest_detectable(0.1, 20, 0.0) < smallest_detectable(0.1, 5, 0.0)
    assert smallest_detectable(0.2, 5, 0.1) == pytest.approx(
        2 * smallest_detectable(0.1, 5, 0.1)
    )


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_ranks_share_ties():
    assert mean_ranks(TABLE) == pytest.approx(
        {"a": (1 + 1.5 + 2) / 3, "b": (2 + 1.5 + 3) / 3, "c": (3 + 3 + 1) / 3}
    )


def test_ranks_and_signs_are_blind_to_the_last_digits():
    table = {str(n): {"a": 0.1 + 0.2, "b": 0.3, "c": 0.2 + n / 10} for n in range(6)}
    assert mean_ranks(table)["a"] == mean_ranks(table)["b"]
    found = wilcoxon(table, "a", ["b"])["b"]
    assert found == (0, 0, 0, 0, 0, 0, 1, 1)


def test_friedman_is_scipys():
    columns = zip(*(row.values() for row in TABLE.values()), strict=True)
    expected = stats.friedmanchisquare(*columns).pvalue
    assert friedman(TABLE) == pytest.approx(expected)


@pytest.mark.parametrize(
    "table",
    [
        {"one": {"a": 1.0, "b": 0.0, "c": 0.0}},
        {name: {"a": 1.0, "b": 0.0} for name in "xyz"},
        {name: {"a": 0.5, "b": 0.5, "c": 0.5} for name in "xyz"},
    ],
)
def test_friedman_of_too_little_tells_nothing(table):
    assert friedman(table) == 1


def test_critical_difference_of_demsars_example():
    # Four classifiers on fourteen data sets (Demsar 2006, section 3.2.2).
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)


def test_signed_rank_tests_are_scipys_and_adjusted():
    rng = np.random.default_rng(0)
    table = {
        str(number): {"ours": 0.8, "x": 0.8 - value, "y": 0.8, "z": 0.8 + value}
        for number, value in enumerate(rng.random(8) / 10 + 0.01)
    }
    found = wilcoxon(table, "ours", ["x", "y", "z"])
    differences = [row["ours"] - row["x"] for row in table.values()]
    raw = stats.wilcoxon(differences).pvalue
    assert found["x"].p == found["z"].p == pytest.approx(raw)
    assert found["x"].holm == found["z"].holm == pytest.approx(3 * raw)
    assert found["y"] == (0, 0, 0, 0, 0, 0, 1, 1)
    assert (found["x"].ahead, found["x"].behind) == (len(table), 0)
    assert found["x"].mean == pytest.approx(np.mean(differences))
    assert found["x"].median == pytest.approx(np.median(differences))
    assert 0 < found["x"].low < found["x"].median < found["x"].high
    assert (found["z"].low, found["z"].high) == pytest.approx(
        (-found["x"].high, -found["x"].low)
    )


def test_hodges_lehmann_is_hollander_and_wolfes():
    # Their example 3.3: the depression of nine patients before and after a drug.
    before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    found = hodges_lehmann([a - b for a, b in zip(after, before, strict=True)])
    assert found == pytest.approx((-0.786, -0.010))


@pytest.mark.parametrize("count", [6, 9, 20, 40])
def test_hodges_lehmann_holds_what_the_signed_rank_test_does_not_reject(count):
    rng = np.random.default_rng(count)
    drawn = rng.normal(0.4, 1, (100, count))
    inside = [low <= 0 <= high for low, high in map(hodges_lehmann, drawn)]
    p = [stats.wilcoxon(row, method="exact").pvalue for row in drawn]
    assert inside == [value > 0.05 for value in p]
    assert 0 < sum(inside) < 100


def test_hodges_lehmann_needs_six():
    with pytest.raises(ValueError, match=r"needs 6 differences \(got 5\)"):
        hodges_lehmann([0.1] * 5)
