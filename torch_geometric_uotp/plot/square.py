r"""Learned coefficients among those of the conventional poolings."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from torch_geometric_uotp.plot.canvas import FRAME, array, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEMPERATURES = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0, math.inf)
# The name of a pooling, a place of it in the square, and how to write it there:
# the offset in points and the angle.
PLACES: tuple[tuple[str, tuple[float, float], tuple[float, float], float], ...] = (
    ("mean", (0.0, 0.45), (7, 0), 90),
    ("attention, with its prior", (0.0, 1.0), (62, 5), 0),
    ("softmax", (0.45, 0.0), (0, 4), 0),
    ("max", (1.0, 0.0), (-16, 4), 0),
)


class Layer(Protocol):
    """A pooling with coefficients, of sets or of images."""

    def coefficients(self) -> Mapping[str, Tensor]:
        """Return ``t`` and ``r_q``, each of shape [steps, heads]."""


def coefficients(
    layer: Layer, label: str | None = None, axes: "Axes | None" = None
) -> "Axes":
    r"""Draw a layer's coefficients among those of the conventional poolings.

    Across is :math:`t / (1 + t) = 1 / (1 + \alpha_0)`, upwards :math:`r_q =
    \alpha_2 / (\alpha_0 + \alpha_2)`: the left edge is mean pooling, the lower
    one softmax, its right end max; with an attention prior, attention pooling
    is the upper left corner. A layer has one colour, each of its heads a line
    through its steps, the first of several being hollow. Axes that hold other
    layers already get one more.

    Args:
        layer (UOTPAggregation or UOTPPool2d): The layer.
        label (str, optional): Its name in a legend.
        axes (matplotlib.axes.Axes, optional): Where to draw.

    Raises:
        ImportError: If Matplotlib is not installed.
        ValueError: If the layer has no coefficients.
    """
    if not callable(getattr(layer, "coefficients", None)):
        raise ValueError(
            f"'layer' must be one with coefficients (got {type(layer).__name__})"
        )
    axes = axes_or_new(axes)
    if not axes.has_data():
        _draw_places(axes)
    table = layer.coefficients()
    t, r_q = table["t"], table["r_q"]
    # BADMM's last step has no r_q.
    across, upwards = array(1 / (1 + 1 / t[: r_q.size(0)])), array(r_q)
    style: dict[str, Any] = {"clip_on": False, "zorder": 3}
    for head in range(across.shape[1]):
        (line,) = axes.plot(across[:, head], upwards[:, head], "o-", **style)
        style["color"] = line.get_color()
        if head == 0:
            line.set_label(label)
    if len(across) > 1:
        axes.plot(across[0], upwards[0], "o", markerfacecolor="white", **style)
    if label is not None:
        axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False)
    return axes


def _draw_places(axes: "Axes") -> None:
    """The square, with the names of the poolings on its boundary."""
    for name, place, offset, angle in PLACES:
        axes.annotate(
            name,
            place,
            offset,
            textcoords="offset points",
            ha="center",
            va="center" if angle else "bottom",
            rotation=angle,
            color=FRAME,
            fontstyle="italic",
        )
    ticks = [1.0 if t == math.inf else t / (1 + t) for t in TEMPERATURES]
    axes.set_xticks(ticks, ["∞" if t == math.inf else f"{t:g}" for t in TEMPERATURES])
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        aspect="equal",
        xlabel="$t = 1/\\alpha_0$, spaced as $t/(1+t)$",
        ylabel="$r_q = \\alpha_2/(\\alpha_0 + \\alpha_2)$",
    )
    axes.grid(alpha=0.3)
