r"""What the readouts cost, as ratios of medians of one run on this machine.

    python -m benchmarks.speed

Every time is of a forward and a backward pass through the public layer, in float32,
K = 4, with learned coefficients. Contenders take turns.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch_geometric

from benchmarks.curves import ratios, save
from benchmarks.timing import interleaved
from benchmarks.workloads import (
    BAG,
    BALANCED,
    READOUTS,
    SKEWED,
    SMALLEST,
    SPREAD,
    Workload,
    forward_and_backward,
    kept_for_backward,
)
from torch_geometric_uotp import __version__, backend

K = 4


def machine() -> dict[str, Any]:
    r"""What the figures depend on."""
    return {
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "backend": backend(),
        "version": __version__,
        "torch": torch.__version__,
        "torch_geometric": torch_geometric.__version__,
    }


def compare(workload: Workload, repeats: int) -> dict[str, float]:
    r"""Median seconds of every readout on one workload."""
    steps = {name: forward_and_backward(name, workload) for name in READOUTS}
    return interleaved(steps, repeats)


def threads(workload: Workload, repeats: int) -> float:
    r"""How many times faster two threads are than one."""
    step, before = forward_and_backward("uotp", workload), torch.get_num_threads()

    def on(count: int) -> None:
        torch.set_num_threads(count)
        step()

    seconds = interleaved({"1": lambda: on(1), "2": lambda: on(2)}, repeats)
    torch.set_num_threads(before)
    return seconds["1"] / seconds["2"]


def memory(workload: Workload) -> dict[str, float]:
    r"""Bytes kept for backward, in units of ``2 K (N + G D)`` numbers of 4 bytes."""
    nodes, sets = sum(workload.sizes), len(workload.sizes)
    unit = 2 * K * (nodes + sets * workload.channels) * 4
    ours = [name for name in READOUTS if name.startswith("uotp")]
    return {name: kept_for_backward(name, workload) / unit for name in ours}


def measure(repeats: int) -> dict[str, Any]:
    r"""All figures."""
    skewed = {w.name: forward_and_backward("uotp", w) for w in (SKEWED, BALANCED)}
    few = max(3, repeats // 5)
    skew = interleaved(skewed, repeats)
    smallest = {name: forward_and_backward(name, SMALLEST) for name in READOUTS}
    return {
        "machine": machine(),
        "seconds": {name: compare(w, repeats) for name, w in SPREAD.items()},
        "smallest": interleaved(smallest, 20 * repeats),
        "two threads on D": threads(BAG, few),
        "E over balanced": skew["E"] / skew["balanced"],
        "kept over 2K(N + GD)": {name: memory(w) for name, w in SPREAD.items()},
    }


def table(found: dict[str, Any]) -> str:
    r"""A Markdown table: how many times each readout's time ours takes."""
    columns = {**found["seconds"], "smallest": found["smallest"]}
    lines = [
        f"| uotp over | {' | '.join(columns)} |",
        f"|---|{'--:|' * len(columns)}",
    ]
    for name in READOUTS:
        if name != "uotp":
            cells = [f"{s['uotp'] / s[name]:.3g}" for s in columns.values()]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    r"""Measures, prints, writes; returns the exit status."""
    parser = argparse.ArgumentParser("speed", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path("runs/speed"), help="folder")
    args = parser.parse_args(argv)
    if args.repeats < 1:
        print(f"speed: --repeats must be at least 1 (got {args.repeats})")
        return 2
    torch.manual_seed(0)
    found = measure(args.repeats)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "speed.json").write_text(json.dumps(found, indent=1))
    print(" ".join(f"{name}={value}" for name, value in found["machine"].items()))
    print(f"\n{table(found)}\n")
    for name in ("two threads on D", "E over balanced", "kept over 2K(N + GD)"):
        print(f"{name}: {found[name]}")
    save(ratios(found["seconds"], "uotp"), args.out / "speed.png")
    print(f"results: {args.out / 'speed.json'}, {args.out / 'speed.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
