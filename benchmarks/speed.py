r"""What the readouts cost, as ratios of medians of one run on this machine.

    python -m benchmarks.speed

Every time is of a forward and a backward pass through the public layer, in float32,
K = 4, with learned coefficients, on as many threads as torch takes. Contenders take
turns of several calls, so that what slows the machine for a while slows all of them;
the last call is reported, and beside it the first, which finds the others' data in the
caches (:mod:`benchmarks.timing`). The allocator keeps its pages, as it does in a
training loop that has run for a while (:mod:`benchmarks.allocator` says why that
matters, and how much);
``--allocator default`` leaves it as it is. The page faults of a step are counted beside
its time. The load is recorded: above 1, others had the processor, and threads that wait
for each other take many times as long.

Shares of what the machine can do are explained in :mod:`benchmarks.limits`. Figures go
to a JSON file, tables in Markdown to the terminal.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch_geometric

from benchmarks.allocator import keep_pages, page_faults
from benchmarks.convergence import against_pot
from benchmarks.curves import costs, ratios, save
from benchmarks.limits import limits
from benchmarks.output import check_folder, write
from benchmarks.scaling import any_order, measure_costs
from benchmarks.speed_tables import tables
from benchmarks.timing import interleaved, turns
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
# Of the smallest batch, for each of the others: it is done in no time.
TURNS_OF_SMALLEST = 20


def machine() -> dict[str, Any]:
    r"""What the figures depend on."""
    return {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "load before": os.getloadavg()[0],
        "backend": backend(),
        "version": __version__,
        "torch": torch.__version__,
        "torch_geometric": torch_geometric.__version__,
    }


def processor() -> str:
    r"""Its name, as far as the system says it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return models[0] if models else platform.processor() or platform.machine()


def compare(workload: Workload, repeats: int) -> dict[str, dict[str, float]]:
    r"""Median seconds, with warm caches and with cold, and page faults of a step."""
    steps = {name: forward_and_backward(name, workload) for name in READOUTS}
    seconds = turns(steps, repeats)
    return {
        "seconds": {name: last for name, (_, last) in seconds.items()},
        "seconds, cold": {name: first for name, (first, _) in seconds.items()},
        "page faults": {name: float(page_faults(step)) for name, step in steps.items()},
    }


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


def measure(repeats: int, quick: bool) -> dict[str, Any]:
    r"""All figures.

    Args:
        repeats (int): Timed turns of each contender.
        quick (bool): Leave out what takes long: large batches, most points of curves.
    """
    few = max(3, repeats // 5)
    spread = {name: compare(w, repeats) for name, w in SPREAD.items()}
    seconds = {name: found["seconds"] for name, found in spread.items()}
    smallest = {name: forward_and_backward(name, SMALLEST) for name in READOUTS}
    skewed = {w.name: forward_and_backward("uotp", w) for w in (SKEWED, BALANCED)}
    skew = interleaved(skewed, repeats)
    found = {
        "machine": machine(),
        "seconds": seconds,
        "seconds, cold": {n: found["seconds, cold"] for n, found in spread.items()},
        "page faults": {name: found["page faults"] for name, found in spread.items()},
        "smallest": interleaved(smallest, TURNS_OF_SMALLEST * repeats),
        "E over balanced": skew["E"] / skew["balanced"],
        "kept over 2K(N + GD)": {name: memory(w) for name, w in SPREAD.items()},
        "any order": {name: any_order(w, repeats) for name, w in SPREAD.items()},
        "limits": limits(seconds, SPREAD, K),
        "cost": measure_costs(few, quick),
    }
    if find_spec("ot"):
        found["POT over uotp with tol=1e-6, on A"] = against_pot(SPREAD["A"], few)
    if not quick:
        found["two threads on D"] = threads(BAG, few)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    r"""Measures, prints, writes; returns the exit status."""
    parser = argparse.ArgumentParser("speed", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--quick", action="store_true", help="fewer, smaller points")
    parser.add_argument("--allocator", choices=["steady", "default"], default="steady")
    parser.add_argument("--out", type=Path, default=Path("runs/speed"), help="folder")
    args = parser.parse_args(argv)
    try:
        if args.repeats < 1:
            raise ValueError(f"--repeats must be at least 1 (got {args.repeats})")
        check_folder(args.out, "--out")
    except ValueError as error:
        print(f"speed: {error}", file=sys.stderr)
        return 2
    steady = args.allocator == "steady" and keep_pages()
    torch.manual_seed(0)
    found = measure(args.repeats, args.quick)
    found["machine"]["allocator"] = "steady" if steady else "default"
    try:
        write_all(found, args.out)
    except OSError as error:
        print(f"speed: {error}", file=sys.stderr)
        return 1
    return 0


def write_all(found: dict[str, Any], folder: Path) -> None:
    r"""Figures, plots and, on the terminal, tables."""
    write(folder / "speed.json", json.dumps(found, indent=1))
    save(ratios(found["seconds"], "uotp"), folder / "speed.png")
    save(costs(found["cost"]), folder / "cost.png")
    print(", ".join(f"{name} {value}" for name, value in found["machine"].items()))
    print(f"\n{tables(found)}\n")
    names = ("speed.json", "speed.png", "cost.png")
    print(f"results: {', '.join(str(folder / name) for name in names)}")


if __name__ == "__main__":
    sys.exit(main())
