import pytest

from benchmarks.result_figures import cliques, critical_difference_diagram, regret_map


@pytest.mark.parametrize(
    ("ranks", "distance", "expected"),
    [
        ([1.0, 2.0, 3.0], 5.0, [(0, 2)]),
        ([1.0, 2.0, 3.0], 0.5, []),
        ([1.0, 2.0, 3.0, 3.5], 1.6, [(0, 1), (1, 3)]),
        ([1.0, 1.0, 4.0], 1.0, [(0, 1)]),
    ],
)
def test_cliques_are_the_longest_runs(ranks, distance, expected):
    assert cliques(ranks, distance) == expected


def test_the_diagram_lists_the_best_first():
    ranks = {"max": 2.0, "uotp": 1.0, "sum": 2.9}
    (axes,) = critical_difference_diagram(ranks, 1.5, ["uotp"], "t").axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["uotp", "max", "sum"]
    assert len(axes.lines) == 2


def test_the_map_holds_every_regret_in_points():
    regrets = {"one": {"a": 0.034, "b": -0.001}, "two": {"a": 0.0, "b": -0.2}}
    axes = regret_map(regrets, "t").axes[0]
    assert [text.get_text() for text in axes.texts] == ["3", "0", "0", "-20"]
