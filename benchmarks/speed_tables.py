r"""The figures of the speed benchmark as Markdown tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Rows = Mapping[str, Mapping[str, float]]


def markdown(corner: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table of right-aligned cells; each row starts with its name."""
    lines = [
        f"| {corner} | {' | '.join(columns)} |",
        f"|---|{'--:|' * len(columns)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines)


def by_readout(corner: str, columns: Rows, style: str, scale: float = 1) -> str:
    r"""A row for each readout of figures by column and readout."""
    names = next(iter(columns.values()))
    rows = (
        [name, *(format(scale * each[name], style) for each in columns.values())]
        for name in names
    )
    return markdown(corner, list(columns), rows)


def relative(seconds: Rows, base: str) -> dict[str, dict[str, float]]:
    r"""How many times the time of each other readout ``base`` takes."""
    return {
        workload: {n: times[base] / s for n, s in times.items() if n != base}
        for workload, times in seconds.items()
    }


def shares(limits: Mapping[str, Any]) -> str:
    r"""A row for each workload and readout: parts of what the machine can do."""
    if "shares" not in limits:
        return f"Shares of the machine's limits: not measured, {limits['not measured']}"
    rows = {
        f"{workload}, {readout}": parts
        for workload, readouts in limits["shares"].items()
        for readout, parts in readouts.items()
    }
    columns = list(next(iter(rows.values())))
    cells = (
        [name, *(f"{parts[c]:.0%}" for c in columns)] for name, parts in rows.items()
    )
    rates = limits["rates"]
    return markdown("share of the limit", columns, cells) + (
        f"\n\nFor an element in cache, one thread: {1e9 * rates['exponential']:.3f} ns "
        f"an exponential, {1e9 * rates['multiply_add']:.4f} ns a multiply-add; "
        f"copies move {1e-9 / rates['byte']:.1f} GB/s."
    )


def worst(cost: Mapping[str, Mapping[str, Any]]) -> str:
    r"""How far the cost of an element is from its median over each sweep."""
    rows = []
    for name, sweep in cost.items():
        at, ns = sweep["at"], sweep["ns"]
        low, high = (f(range(len(ns)), key=ns.__getitem__) for f in (min, max))
        extremes = [f"{ns[i]:.2f} at {at[i]:g}" for i in (low, high)]
        rows.append(
            [name, f"{at[0]:g} to {at[-1]:g}", *extremes, f"{sweep['worst']:.0%}"]
        )
    columns = ["range", "least ns", "most ns", "worst distance from the median"]
    return markdown("cost of an element over", columns, rows)


def tables(found: Mapping[str, Any]) -> str:
    r"""All of them, and the single figures."""
    seconds = {**found["seconds"], "smallest": found["smallest"]}
    parts = [
        by_readout("milliseconds", seconds, ".3g", 1e3),
        by_readout("uotp over", relative(seconds, "uotp"), ".3g"),
        by_readout("cold, uotp over", relative(found["seconds, cold"], "uotp"), ".3g"),
        by_readout("page faults of a step", found["page faults"], ".0f"),
        by_readout("kept over 2K(N + GD)", found["kept over 2K(N + GD)"], ".2f"),
        by_readout("milliseconds, nodes in any order", found["any order"], ".3g", 1e3),
        shares(found["limits"]),
        worst(found["cost"]),
    ]
    singles = {name: value for name, value in found.items() if isinstance(value, float)}
    parts += [f"{name}: {value:.3g}" for name, value in singles.items()]
    return "\n\n".join(parts)
