r"""A plan as a heat map."""

from typing import TYPE_CHECKING, Any

from torch_geometric_uotp.plot.canvas import FRAME, array, axes_or_new, members
from torch_geometric_uotp.plot.share import share_bar, share_colours, share_scale
from torch_geometric_uotp.problem import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EVEN: dict[str, Any] = {"color": "black", "linewidth": 0.8, "linestyle": ":"}


def plan(solution: Solution, number: int = 0, axes: "Axes | None" = None) -> "Axes":
    r"""Draw the plan of one set as a heat map, with its marginals beside it.

    Rows are nodes, columns are channels, lines part heads. Colours and bars are
    relative to an even spread: 1 is a mass of :math:`1/(NC)` in the plan,
    :math:`1/N` of a node and :math:`1/C` of a channel, for C channels a head.

    Args:
        solution (Solution): What ``layer.solve(...)`` returned.
        number (int): The set. (default: :obj:`0`)
        axes (matplotlib.axes.Axes, optional): Where to draw.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If there is no such set, no node in it, or a mass is not finite.
    """
    nodes_of_set = members(solution, number)
    mass = array(solution.plan[nodes_of_set])
    nodes, channels = mass.shape
    width = channels // solution.heads
    density = mass * nodes * width
    scale = share_scale(density)
    axes = axes_or_new(axes)
    axes.imshow(density, cmap=share_colours(), norm=scale, aspect="auto")
    axes.set(xlabel="channel", ylabel="node")
    for boundary in range(width, channels, width):
        axes.axvline(boundary - 0.5, color=FRAME, linewidth=1)
    share_bar(scale, axes, pad=0.15)
    top = axes.inset_axes((0, 1.03, 1, 0.18), sharex=axes)
    top.bar(range(channels), density.mean(0), width=1, color=FRAME)
    top.axhline(1, **EVEN)
    right = axes.inset_axes((1.02, 0, 0.14, 1), sharey=axes)
    right.barh(range(nodes), density.mean(1), height=1, color=FRAME)
    right.axvline(1, **EVEN)
    _tidy(top, right)
    return axes


def _tidy(top: "Axes", right: "Axes") -> None:
    top.tick_params(labelbottom=False, bottom=False)
    right.tick_params(labelleft=False, left=False)
    for axes in (top, right):
        axes.spines[["top", "right"]].set_visible(False)
