import math

import numpy as np
import pytest
import torch

from torch_geometric_uotp import UOTPAggregation, UOTPPool2d, plot


def points(layer) -> list[np.ndarray]:
    """Steps [K, 2] of each head; of several steps, the first one [H, 2] too."""
    return [line.get_xydata() for line in plot.coefficients(layer).lines]


@pytest.mark.parametrize(
    ("name", "place"),
    [("mean", (0, 1)), ("attention", (0, 1)), ("softmax", (0.5, 0)), ("max", (1, 0))],
)
def test_conventional_poolings_are_in_their_places(name: str, place: tuple) -> None:
    (line,) = points(UOTPPool2d.like(name, 6))
    np.testing.assert_allclose(line, [place])


def test_heads_are_lines_through_their_steps() -> None:
    alpha0 = torch.tensor([[1.0, 2.0], [0.5, 1.0], [3.0, 1.0]])
    options = {"heads": 2, "share_steps": False, "num_steps": 3, "alpha0": alpha0}
    first, second, start = points(UOTPAggregation(6, alpha2=alpha0, **options))
    for line, alphas in zip((first, second), alpha0.T, strict=True):
        across = 1 / (1 + alphas)
        expected = np.stack([across, np.full(3, 0.5)], axis=1)
        np.testing.assert_allclose(line, expected, rtol=1e-6)
    np.testing.assert_array_equal(start, [first[0], second[0]])


def test_badmm_has_one_place_less() -> None:
    layer = UOTPAggregation(6, solver="badmm", share_steps=False)
    assert len(points(layer)[0]) == 3


def test_layers_share_axes_and_a_legend() -> None:
    axes = plot.coefficients(UOTPAggregation(6, heads=2), "before")
    names = len(axes.texts)
    layer = UOTPAggregation(6, alpha0=math.inf, learn=False)
    plot.coefficients(layer, "after", axes)
    assert len(axes.texts) == names
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["before", "after"]
    before, other_head, after = (line.get_color() for line in axes.lines)
    assert before == other_head != after
