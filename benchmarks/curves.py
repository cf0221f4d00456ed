r"""Figures of the records: accuracies, and the coefficients while they are learned."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from benchmarks import output
from benchmarks.records import by_readout

Record = Mapping[str, Any]

OURS, OTHERS = "#d55e00", "#0072b2"
PALETTE = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
COEFFICIENTS = {
    "t": "$t = 1/\\alpha_0$\nsharpness: 0 is mean, large is max",
    "r_p": "$r_p = \\alpha_1/(\\alpha_0+\\alpha_1)$\n1: channels held to their prior",
    "r_q": "$r_q = \\alpha_2/(\\alpha_0+\\alpha_2)$\n1: nodes held to their prior",
}


def save(figure: Figure, path: Path, dpi: int = 150, **options: Any) -> Path:
    r"""Writes the figure as PNG; its folder is made if need be.

    Args:
        figure (matplotlib.figure.Figure): What to write.
        path (Path): Where to.
        dpi (int): Pixels to an inch. (default: :obj:`150`)
        options (optional): Of :meth:`matplotlib.figure.Figure.savefig`.
    """
    content = BytesIO()
    figure.savefig(content, format="png", dpi=dpi, **options)
    return output.write(path, content.getvalue())


def accuracies(records: Sequence[Record]) -> Figure:
    r"""Test accuracy per readout: dots for seeds, diamond and bar for mean ± std."""
    groups = by_readout(records)
    figure = Figure(figsize=(8, 1.6 + 0.55 * len(groups)), layout="constrained")
    axes = figure.subplots()
    for place, runs in enumerate(groups.values()):
        _draw_runs(axes, place, runs)
    majority = 100 * mean(record["majority_accuracy"] for record in records)
    seeds = max(map(len, groups.values()))
    axes.set(
        title=f"{records[0]['dataset']}: mean ± standard deviation, {seeds} seeds",
        xlabel=f"test accuracy, %   (majority class: {majority:.1f} %)",
        ylim=(len(groups) - 0.5, -0.6),
    )
    axes.set_yticks(range(len(groups)), list(groups))
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_runs(axes: Axes, place: int, runs: Sequence[Record]) -> None:
    scores = [100 * run["test_accuracy"] for run in runs]
    center, colour = mean(scores), OURS if runs[0]["watched"] else OTHERS
    axes.plot(scores, [place] * len(scores), "o", color=colour, alpha=0.35)
    axes.errorbar(
        center,
        place,
        xerr=stdev(scores) if len(scores) > 1 else None,
        fmt="D",
        color=colour,
        capsize=5,
        markersize=7,
    )
    axes.annotate(
        f"{center:.1f}",
        (center, place),
        (0, 8),
        textcoords="offset points",
        ha="center",
    )


def coefficients(records: Sequence[Record]) -> Figure:
    r"""What the transport readouts learn: a line for each seed, step and head."""
    groups = by_readout([record for record in records if record["watched"]])
    colours = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(groups)}
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    panels = dict(zip(COEFFICIENTS, figure.subplots(1, len(COEFFICIENTS)), strict=True))
    for name, runs in groups.items():
        for run in runs:
            _draw_paths(panels, run, colours[name])
    for name, axes in panels.items():
        axes.set(title=COEFFICIENTS[name], xlabel="epoch")
        axes.grid(alpha=0.3)
    for name in ("r_p", "r_q"):
        panels[name].set_ylim(-0.03, 1.03)
    _logarithmic(panels["t"])
    lines = [
        Line2D([], [], color=colour, label=name) for name, colour in colours.items()
    ]
    kept = Line2D([], [], color="0.3", marker="o", linestyle="", label="epoch kept")
    figure.legend(
        handles=[*lines, kept], loc="outside lower center", ncols=len(lines) + 1
    )
    return figure


def trajectories(record: Record) -> dict[str, np.ndarray]:
    r"""Solver coefficients over time, each of shape [epochs + 1, steps * heads]."""
    epochs = record["watched"]
    return {
        name: np.array([epoch[name] for epoch in epochs]).reshape(len(epochs), -1)
        for name in COEFFICIENTS
    }


def _draw_paths(panels: Mapping[str, Axes], run: Record, colour: str) -> None:
    best = run["best_epoch"]
    for name, paths in trajectories(run).items():
        panels[name].plot(paths, color=colour, alpha=0.6, linewidth=1.2)
        kept = paths[best]
        panels[name].plot([best] * len(kept), kept, "o", color=colour, markersize=5)


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.2, 1.5, 2, 3, 5, 7)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


def ratios(seconds: Mapping[str, Mapping[str, float]], base: str) -> Figure:
    r"""How many times the time of ``base`` each contender takes, per workload."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    names = [name for name in next(iter(seconds.values())) if name != base]
    height = 0.8 / len(seconds)
    for number, (workload, times) in enumerate(seconds.items()):
        places = np.arange(len(names)) + height * (number - (len(seconds) - 1) / 2)
        values = [times[name] / times[base] for name in names]
        bars = axes.barh(places, values, height, label=workload, color=PALETTE[number])
        axes.bar_label(bars, fmt="%.2g", padding=2, fontsize=8)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel=f"times the time of {base} (right of 1: slower)")
    axes.margins(x=0.12)
    axes.legend(title="workload", loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def costs(sweeps: Mapping[str, Mapping[str, Any]]) -> Figure:
    r"""Nanoseconds for an element over each sweep, in a band of 25 % each way."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(sweeps)))
    for axes, (name, sweep) in zip(panels, sweeps.items(), strict=True):
        middle = median(sweep["ns"])
        axes.axhspan(0.75 * middle, 1.25 * middle, color="0.9", label="median ± 25 %")
        axes.plot(sweep["at"], sweep["ns"], "o-", color=OURS)
        axes.set(xscale="log", xlabel=name, ylabel="ns an element, K = 4")
        _logarithmic(axes)
        axes.grid(alpha=0.3)
    panels[0].legend(loc="upper right")
    return figure
