import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from torch_geometric_uotp import UOTPAggregation, plot


def test_an_equal_share_is_1() -> None:
    x, index = torch.randn(6, 4), torch.tensor([1, 0, 1, 1, 0, 1])
    solution = UOTPAggregation.like("mean", 4).solve(x, index)
    np.testing.assert_allclose(plot.shares(solution, 1), np.ones(4), rtol=1e-6)
    solution = UOTPAggregation(4, heads=2).solve(x, index)
    parts = [plot.shares(solution, number) for number in (0, 1)]
    np.testing.assert_allclose([part.mean() for part in parts], 1, rtol=1e-6)
    heads = solution.node_marginal[index == 0].detach().numpy()
    np.testing.assert_allclose(parts[0], heads.sum(1), rtol=1e-6)


def test_scale_is_even_around_an_equal_share() -> None:
    scale = plot.share_scale(np.array([1.0, 4.0, 0.0]), np.array([0.5]))
    assert float(scale(1.0)) == pytest.approx(0.5)
    assert scale.vmin * scale.vmax == pytest.approx(1)
    assert 3 < scale.vmax <= 4


def test_scale_of_equal_shares_is_not_empty() -> None:
    scale = plot.share_scale(np.ones(3))
    assert scale.vmin < 1 < scale.vmax


def test_no_share_is_as_blue_as_the_smallest() -> None:
    colours, scale = plot.share_colours(), plot.share_scale(np.array([0.25, 4.0]))
    none, least, most = colours(scale(np.array([0.0, 0.25, 4.0])))
    np.testing.assert_array_equal(none, least)
    assert least[2] > least[0]
    assert most[0] > most[2]


@pytest.mark.parametrize("form", [lambda p: p, lambda p: p.tolist(), lambda p: p[0]])
def test_bar_says_which_colour_is_which_share(form) -> None:
    figure = Figure()
    panels = form(figure.subplots(1, 2))
    plot.share_bar(plot.share_scale(np.array([0.25, 4.0])), panels)
    *_, bar = figure.axes
    labels = [label.get_text() for label in bar.get_yticklabels()]
    assert labels == ["× 0.25", "× 0.5", "× 1", "× 2", "× 4"]
