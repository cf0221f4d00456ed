import pytest

from benchmarks import scaling
from benchmarks.scaling import any_order, deviation, measure_costs, sets_of, sweeps
from benchmarks.workloads import Workload


def test_sets_hold_about_as_many_elements_as_asked_for() -> None:
    assert sets_of(1e6, 64).elements == pytest.approx(1e6, rel=0.01)
    assert sets_of(1, 2048).sizes == (50,)


def test_sweeps_reach_as_far_as_they_say() -> None:
    full = sweeps(quick=False)
    assert full["elements"][0][0] == 1e4
    assert full["elements"][-1][1].elements == pytest.approx(1e8, rel=0.01)
    assert [at for at, _, _ in full["steps"]] == [1, 2, 4, 8, 16, 32, 64]
    assert [w.channels for _, w, _ in full["channels"]][-1] == 2048
    assert all(w.elements < 2e6 for p in sweeps(quick=True).values() for _, w, _ in p)


def test_deviation_is_from_the_median() -> None:
    assert deviation([1.0, 2.0, 2.0, 5.0]) == 1.5
    assert deviation([2.0, 2.0, 1.0]) == 0.5


def test_costs_are_for_an_element_and_four_steps(monkeypatch) -> None:
    monkeypatch.setattr(
        scaling, "interleaved", lambda turns, repeats: dict.fromkeys(turns, 1.0)
    )
    monkeypatch.setattr(scaling, "ELEMENTS", 10**4)
    steps = measure_costs(1, quick=True)["steps"]
    assert steps["at"] == [1, 4, 16, 64]
    one = steps["ns"][0] / 4
    assert steps["ns"] == pytest.approx([4 * one, one, one / 4, one / 16])


def test_every_order_is_a_way_to_the_same_gradient() -> None:
    seconds = any_order(Workload("tiny", (3, 4), 5), 1)
    assert set(seconds) == {"in place", "sorted copy", "sorted already"}
