r"""Figures of the report: critical differences, and where each readout falls behind."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.curves import OTHERS, OURS

HIGHEST = 0.1


def cliques(ranks: Sequence[float], distance: float) -> list[tuple[int, int]]:
    r"""Longest runs of sorted ranks that span less than ``distance``.

    Each is the position of its first and of its last rank; runs inside others and of
    one rank are left out.
    """
    found: list[tuple[int, int]] = []
    for first, low in enumerate(ranks):
        last = max(i for i, rank in enumerate(ranks) if rank - low < distance)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def critical_difference_diagram(
    ranks: Mapping[str, float], distance: float, ours: Sequence[str], title: str
) -> Figure:
    r"""Mean ranks, best at the top; a bar joins readouts that may be equally good.

    Args:
        ranks (Mapping): Mean rank of each readout.
        distance (float): The critical difference.
        ours (Sequence): The readouts to be coloured.
        title (str): Of the figure.
    """
    names = sorted(ranks, key=ranks.__getitem__)
    values = [ranks[name] for name in names]
    figure = Figure(figsize=(8, 1.4 + 0.27 * len(names)), layout="constrained")
    axes = figure.subplots()
    colours = [OURS if name in ours else OTHERS for name in names]
    axes.scatter(values, range(len(names)), color=colours, zorder=2)
    _join(axes, values, distance)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(title=title, xlabel=f"mean rank (critical difference {distance:.2f})")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _join(axes: Axes, ranks: Sequence[float], distance: float) -> None:
    for number, (first, last) in enumerate(cliques(ranks, distance)):
        place = ranks[-1] + 0.4 + 0.25 * number
        axes.plot([place, place], [first, last], color="0.4", linewidth=3)


def regret_map(
    regrets: Mapping[str, Mapping[str, float]], title: str, highest: float = HIGHEST
) -> Figure:
    r"""Regret of each readout (columns) on each data set (rows), in points.

    Args:
        regrets (Mapping): By data set and readout; above 0 is worse than the best
            conventional readout.
        title (str): Of the figure.
        highest (float): The regret of the darkest colour. (default: :obj:`0.1`)
    """
    names = list(next(iter(regrets.values())))
    values = 100 * np.array([[row[name] for name in names] for row in regrets.values()])
    size = (2.5 + 0.42 * len(names), 2 + 0.28 * len(values))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    reach = 100 * highest
    image = axes.imshow(values, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto")
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(values)), list(regrets))
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if abs(value) > 0.7 * reach else "black"
        number = f"{value:.0f}".replace("-0", "0")
        place = (column, row)
        axes.annotate(number, place, ha="center", va="center", size=7, color=colour)
    axes.set_title(title)
    figure.colorbar(image, label="points behind")
    return figure
