import pytest
import torch

from torch_geometric_uotp.projection import (
    GAIN,
    LARGEST,
    Projection,
    project,
    sharpest,
)


def test_gradients_point_inwards_at_the_bounds() -> None:
    x = torch.tensor([-0.1, 0.0, 0.125, 0.25, 0.3], requires_grad=True)
    for direction, alive in ((1.0, [0, 0, 4, 4, 4]), (-1.0, [-4, -4, -4, 0, 0])):
        (y,) = project(((0.0, 1.0),), x)
        (gradient,) = torch.autograd.grad(y, x, torch.full((5,), direction))
        assert gradient.tolist() == alive
    assert y.tolist() == [0, 0, 0.5, 1, 1]


def test_points_become_coefficients() -> None:
    points = [torch.tensor([[u / GAIN]]) for u in (0.75, 0.5, 0.9, 0.2)]
    t, r_p, r_q, rho, hard = Projection(sharpest())(*points)
    found = [value.item() for value in (t, r_p, r_q, rho)]
    assert found == pytest.approx([3, 0.5, 0.9, 0.25])
    assert hard is None


def test_a_point_at_the_end_is_an_infinite_t_if_it_may_be() -> None:
    points = [torch.tensor([[0.5, 1.0]]) / GAIN] * 3
    *_, hard = Projection(1.0)(*points, None)
    assert hard.tolist() == [False, True]
    finite = Projection(sharpest())(*points, None)
    assert finite[0].tolist() == [[1.0, pytest.approx(LARGEST)]]
