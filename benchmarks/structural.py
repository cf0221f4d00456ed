r"""What the structural term costs: time over the layer without it, and memory.

    python -m benchmarks.structural

Times are processor times, on one thread, of a forward and a backward pass through the
public layers, in float32, with their default settings; all take turns. Memory is by
how much such a pass through one bag of 64 channels raises the largest resident set of a
process, in units of the bag.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch_geometric.nn.aggr import Aggregation

from benchmarks.timing import interleaved
from benchmarks.workloads import SPREAD, Portable, Workload
from torch_geometric_uotp import ROTPAggregation, UOTPAggregation

CHANNELS = 64
BAGS = (25_000, 50_000, 100_000)

LAYERS: dict[str, Callable[[int], Aggregation]] = {
    "uotp": lambda channels: UOTPAggregation(channels),
    "uotp portable": lambda channels: Portable(UOTPAggregation(channels)),
    "rotp": lambda channels: ROTPAggregation(channels),
}


def step(layer: Aggregation, workload: Workload) -> Callable[[], None]:
    r"""A forward and a backward pass: a function to time."""
    x, index = workload.batch()
    grad = torch.randn(len(workload.sizes), workload.channels)
    return lambda: torch.autograd.backward(layer(x, index), grad)


def times(workload: Workload, repeats: int) -> dict[str, float]:
    r"""Median seconds of every layer on one workload."""
    steps = {n: step(make(workload.channels), workload) for n, make in LAYERS.items()}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds = interleaved(steps, repeats, clock=time.process_time)
    torch.set_num_threads(before)
    return seconds


def largest_resident_set() -> int:
    r"""Bytes, of this process, so far; where the system is Linux."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def growth(nodes: int) -> float:
    r"""By how many bags the largest resident set of this process grows."""
    bag = Workload("bag", (nodes,), CHANNELS)
    step(ROTPAggregation(CHANNELS), Workload("small", (100,), CHANNELS))()
    run = step(ROTPAggregation(CHANNELS), bag)
    before = largest_resident_set()
    run()
    return (largest_resident_set() - before) / (4 * bag.elements)


def growth_apart(nodes: int) -> float:
    r"""The same, in a process of its own, which has not grown before."""
    command = [sys.executable, "-m", "benchmarks.structural", "--bag", str(nodes)]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def main(argv: Sequence[str] | None = None) -> int:
    r"""Measures and prints; returns the exit status."""
    parser = argparse.ArgumentParser("structural", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--bag", type=int, help="print the memory of one bag, no more")
    args = parser.parse_args(argv)
    if args.bag is not None:
        print(growth(args.bag))
        return 0
    print("| rotp over | uotp | uotp portable |\n|---|--:|--:|")
    for name, workload in SPREAD.items():
        found = times(workload, args.repeats)
        ratios = [found["rotp"] / found[other] for other in ("uotp", "uotp portable")]
        print(f"| {name} | {ratios[0]:.3g} | {ratios[1]:.3g} |", flush=True)
    print("\n| nodes of one bag | memory, in bags |\n|--:|--:|")
    for nodes in BAGS:
        print(f"| {nodes:,} | {growth_apart(nodes):.3g} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
