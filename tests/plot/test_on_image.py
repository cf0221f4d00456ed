import numpy as np
import pytest
import torch

from torch_geometric_uotp import UOTPPool2d, plot

SOLUTION = UOTPPool2d(4).solve(torch.randn(3, 4, 2, 3))


@pytest.mark.parametrize("shape", [(8, 12), (1, 8, 12), (3, 8, 12)])
def test_shares_lie_over_the_whole_image(shape: tuple[int, ...]) -> None:
    image = torch.rand(shape)
    below, above = plot.on_image(SOLUTION, image, (2, 3), number=1).images
    grey = image.view(-1, 8, 12).mean(0)
    np.testing.assert_allclose(below.get_array(), grey, rtol=1e-6)
    assert above.get_array().shape == (2, 3)
    np.testing.assert_allclose(above.get_array().ravel(), plot.shares(SOLUTION, 1))
    assert above.get_extent() == below.get_extent()


def test_images_of_bytes_are_drawn() -> None:
    image = torch.randint(256, (3, 8, 12), dtype=torch.uint8)
    below, _ = plot.on_image(SOLUTION, image, (2, 3)).images
    np.testing.assert_allclose(below.get_array(), image.float().mean(0))


def test_a_scale_can_be_shared() -> None:
    scale = plot.share_scale(np.array([0.1, 10.0]))
    axes = plot.on_image(SOLUTION, torch.ones(4, 6), (2, 3), scale=scale)
    assert axes.images[1].norm is scale
    assert axes.figure.axes == [axes]  # no bar of its own
    axes.figure.canvas.draw()


def test_refuses_another_size() -> None:
    with pytest.raises(ValueError, match=r"'size' .* of 6 pixels \(got \(3, 3\)\)"):
        plot.on_image(SOLUTION, torch.ones(6, 6), (3, 3))
