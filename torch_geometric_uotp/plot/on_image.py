r"""Shares of pixels on an image."""

import math
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from torch_geometric_uotp.arguments import check_count, check_real
from torch_geometric_uotp.plot.canvas import array, axes_or_new
from torch_geometric_uotp.plot.share import (
    share_bar,
    share_colours,
    share_scale,
    shares,
)
from torch_geometric_uotp.problem import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LogNorm


def on_image(
    solution: Solution,
    image: Tensor,
    size: tuple[int, int],
    number: int = 0,
    scale: "LogNorm | None" = None,
    axes: "Axes | None" = None,
) -> "Axes":
    """Draw the share that each pixel of a feature map has, over the image.

    Red parts have more than an equal share, blue ones less. Shares are averaged
    over heads, and interpolated to the image's resolution.

    Args:
        solution (Solution): What ``pool.solve(...)`` returned.
        image (torch.Tensor): Of shape [H, W] or [channels, H, W]; it is drawn in
            grey.
        size (tuple): Height and width of the feature map.
        number (int): The image's number in the batch. (default: :obj:`0`)
        scale (matplotlib.colors.LogNorm, optional): As by :func:`share_scale`,
            for several images alike. (default: the image's own, drawn beside it)
        axes (matplotlib.axes.Axes, optional): Where to draw.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If there is no such image, its feature map of another size, a
            share that is not finite, or an argument of another kind.
    """
    share = shares(solution, number)
    _check(image, size)
    if share.size != math.prod(size):
        raise ValueError(
            f"'size' must be that of a feature map of {share.size} pixels (got {size})"
        )
    grey = array(image if image.dim() == 2 else image.float().mean(0))
    height, width = grey.shape
    norm = share_scale(share) if scale is None else scale
    axes = axes_or_new(axes)
    # Nothing darker than a middle grey, under which the colours would drown.
    depth = max(float(np.ptp(grey)), 1e-12)
    axes.imshow(grey, cmap="gray", vmin=grey.min() - 0.6 * depth, vmax=grey.max())
    axes.imshow(
        share.reshape(size),
        cmap=share_colours(),
        norm=norm,
        alpha=0.55,
        interpolation="bilinear",
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
    )
    axes.set_axis_off()
    if scale is None:
        share_bar(norm, axes)
    return axes


def _check(image: Tensor, size: tuple[int, int]) -> None:
    check_real("image", image)
    if image.dim() not in (2, 3):
        raise ValueError(
            "'image' must be of shape [H, W] or [channels, H, W] (got "
            f"{tuple(image.shape)})"
        )
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError(f"'size' must be a height and a width (got {size!r})")
    for length in size:
        check_count("size", length, least=0)
