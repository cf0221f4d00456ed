r"""Shares of nodes, and their colours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from torch_geometric_uotp.arguments import kind_of
from torch_geometric_uotp.plot.canvas import array, members, optional
from torch_geometric_uotp.problem import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap, LogNorm


def shares(solution: Solution, number: int = 0) -> np.ndarray:
    """The share of each node of a set, 1 for an equal one, averaged over heads.

    Args:
        solution (Solution): What ``layer.solve(...)`` returned.
        number (int): The set. (default: :obj:`0`)

    Raises:
        ValueError: If there is no such set, or no node in it.
    """
    nodes = members(solution, number)
    return array(solution.node_marginal[nodes].mean(-1) * nodes.numel())


def share_scale(*parts: np.ndarray) -> "LogNorm":
    """A logarithmic scale around 1 that all but the farthest shares fit in.

    Args:
        parts (numpy.ndarray): Shares of nodes, as by :func:`shares`.

    Raises:
        ValueError: If there is no share, or one is not finite, as where features
            were not.
    """
    if not parts or not all(isinstance(part, np.ndarray) for part in parts):
        given = ", ".join(kind_of(part) for part in parts) or "none"
        raise ValueError(f"'parts' must be arrays of shares (got {given})")
    every = np.concatenate([part.ravel() for part in parts])
    if not np.isfinite(every).all():
        raise ValueError("shares must be finite to be drawn (got NaN or infinity)")
    distance = np.abs(np.log(every[every > 0]))
    if distance.size == 0:
        raise ValueError("shares must not all be 0 to be drawn (got none above)")
    reach = max(float(np.quantile(distance, 0.97)), 1e-3)
    norm: LogNorm = optional("matplotlib.colors").LogNorm(np.exp(-reach), np.exp(reach))
    return norm


def share_colours() -> "ListedColormap":
    """Blue for less than an equal share, red for more.

    The darkest ends are left out, so that what is written on them can be read.
    """
    full = optional("matplotlib").colormaps["RdBu_r"]
    colours = full(np.linspace(0.12, 0.88, 256))
    listed = optional("matplotlib.colors").ListedColormap(colours)
    # A share of 0 has no logarithm.
    extended: ListedColormap = listed.with_extremes(bad=colours[0])
    return extended


def share_bar(
    scale: "LogNorm", axes: "Axes | Sequence[Axes] | np.ndarray", pad: float = 0.03
) -> None:
    """Say beside axes which colour is which share.

    Args:
        scale (matplotlib.colors.LogNorm): As by :func:`share_scale`.
        axes (matplotlib.axes.Axes): One, or several of one figure.
        pad (float): How far beside them, in widths of theirs.
            (default: :obj:`0.03`)
    """
    panels = np.array(axes, dtype=object).ravel().tolist()
    drawn = optional("matplotlib.cm").ScalarMappable(scale, share_colours())
    bar = panels[0].figure.colorbar(
        drawn, ax=panels, shrink=0.8, aspect=28, pad=pad, extend="both"
    )
    ticks = scale.inverse(np.linspace(0, 1, 5)).tolist()
    bar.set_ticks(ticks, labels=[f"× {tick:.3g}" for tick in ticks])
    bar.minorticks_off()
    bar.set_label("share of the transport (× 1: an equal one)")
