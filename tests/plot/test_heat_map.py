import numpy as np
import pytest
import torch

from torch_geometric_uotp import UOTPAggregation, plot

INDEX = torch.tensor([1, 0, 1, 1, 0, 1])


def test_plan_is_that_of_one_set_relative_to_an_even_spread() -> None:
    solution = UOTPAggregation(6, heads=2).solve(torch.randn(6, 6), INDEX)
    axes = plot.plan(solution, number=1)
    density = axes.images[0].get_array()
    mine = solution.plan[INDEX == 1].detach().numpy()
    np.testing.assert_allclose(density, mine * 4 * 3, rtol=1e-5)
    assert len(axes.lines) == 1  # between the heads
    top, right = axes.child_axes
    heights = [bar.get_height() for bar in top.patches]
    widths = [bar.get_width() for bar in right.patches]
    np.testing.assert_allclose(heights, 3 * mine.sum(0), rtol=1e-5)
    np.testing.assert_allclose(widths, 4 * mine.sum(1) / 2, rtol=1e-5)


@pytest.mark.parametrize("name", ["mean", "max"])
def test_plans_of_the_limits_can_be_drawn(name: str) -> None:
    solution = UOTPAggregation.like(name, 6).solve(torch.randn(6, 6), INDEX)
    plot.plan(solution).figure.canvas.draw()
