import numpy as np
import pytest
import torch

from torch_geometric_uotp import UOTPAggregation, plot

# A path 0 - 2 - 4 with a separate node 5, and an edge 1 - 3 of another graph.
INDEX = torch.tensor([0, 1, 0, 1, 0, 0])
EDGES = torch.tensor([[0, 2, 2, 4, 1, 3], [2, 0, 4, 2, 3, 1]])
SOLUTION = UOTPAggregation(4).solve(torch.randn(6, 4), INDEX)


@pytest.mark.parametrize("kind", [list, np.array])
def test_nodes_are_coloured_by_their_shares(kind) -> None:
    axes = plot.on_graph(SOLUTION, EDGES, labels=kind(["a", "b", "c", "d"]))
    (nodes,) = axes.collections
    np.testing.assert_allclose(nodes.get_array(), plot.shares(SOLUTION))
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c", "d"]
    a, b, c, d = nodes.get_offsets()
    ends = {tuple(map(tuple, line.get_xydata())) for line in axes.lines}
    assert ends == {
        tuple(map(tuple, pair)) for pair in ([a, b], [b, a], [b, c], [c, b])
    }
    assert np.linalg.norm(a - c) > 1.5 * np.linalg.norm(a - b)
    assert min(np.linalg.norm(d - end) for end in (a, b, c)) > np.linalg.norm(a - b)


def test_positions_need_no_layout(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "networkx", None)
    position = torch.randn(2, 2)
    scale = plot.share_scale(np.array([0.5, 2.0]))
    axes = plot.on_graph(SOLUTION, EDGES, 1, position=position, scale=scale)
    np.testing.assert_allclose(axes.collections[0].get_offsets(), position, rtol=1e-6)
    assert axes.figure.axes == [axes]


def test_nodes_without_a_share_are_drawn() -> None:
    solution = UOTPAggregation.like("max", 1).solve(torch.tensor([[1.0], [0.0]]))
    axes = plot.on_graph(solution, torch.empty(2, 0, dtype=torch.long))
    axes.figure.canvas.draw()
    first, second = axes.collections[0].get_facecolors()
    assert first[0] > first[2]
    assert second[2] > second[0]


@pytest.mark.parametrize(
    "wrong", [{"labels": ["a"]}, {"position": torch.zeros(3, 2)}], ids=str
)
def test_refuses_other_numbers_of_nodes(wrong: dict) -> None:
    name, value = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=rf"'{name}' .* 4 nodes \(got {len(value)}\)"):
        plot.on_graph(SOLUTION, EDGES, **wrong)
