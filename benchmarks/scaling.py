r"""What an element costs as batches grow, as steps are added and as channels spread."""

from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import interleaved
from benchmarks.workloads import Workload, train
from torch_geometric_uotp import UOTPAggregation

NODES, CHANNELS, ELEMENTS, STEPS = 50, 64, 10**6, 4
TIMED = 10**6  # elements, at least, for a time worth measuring

Point = tuple[float, Workload, int]


def sets_of(elements: float, channels: int) -> Workload:
    r"""About so many elements, in sets of 50 nodes, at least one."""
    sets = max(1, round(elements / channels / NODES))
    return Workload(f"{elements:g}", (NODES,) * sets, channels)


def sweeps(quick: bool) -> dict[str, list[Point]]:
    r"""What is varied, and each of its values with the workload and K it means.

    Args:
        quick (bool): Fewer values, none of them large.
    """
    exponents = range(8, 13) if quick else range(8, 17)
    channels = [2**power for power in range(0, 12, 3 if quick else 1)]
    steps = [2**power for power in range(0, 7, 2 if quick else 1)]
    return {
        "elements": [
            (10 ** (half / 2), sets_of(10 ** (half / 2), CHANNELS), STEPS)
            for half in exponents
        ],
        "channels": [(d, sets_of(ELEMENTS, d), STEPS) for d in channels],
        "steps": [(k, sets_of(ELEMENTS, CHANNELS), k) for k in steps],
    }


def measure_costs(repeats: int, quick: bool) -> dict[str, dict[str, Any]]:
    r"""Nanoseconds for an element, and for an element and step where K varies.

    Args:
        repeats (int): Timed turns of each point.
        quick (bool): Fewer values, none of them large.
    """
    return {name: _costs(points, repeats) for name, points in sweeps(quick).items()}


def _costs(points: Iterable[Point], repeats: int) -> dict[str, Any]:
    points = list(points)
    runs = {str(at): _several(w, steps) for at, w, steps in points}
    seconds = interleaved({at: run for at, (run, _) in runs.items()}, repeats)
    cost = []
    for at, workload, steps in points:
        times = runs[str(at)][1] * workload.elements
        cost.append(1e9 * seconds[str(at)] / times * STEPS / steps)
    return {"at": [at for at, _, _ in points], "ns": cost, "worst": deviation(cost)}


def _several(workload: Workload, steps: int) -> tuple[Callable[[], None], int]:
    r"""Training steps, as many as make a time worth measuring, and how many."""
    readout = UOTPAggregation(workload.channels, num_steps=steps)
    step, times = train(readout, workload), max(1, TIMED // workload.elements)

    def run() -> None:
        for _ in range(times):
            step()

    return run, times


def deviation(costs: list[float]) -> float:
    r"""The largest distance from the median, relative to it."""
    middle = median(costs)
    return max(abs(cost - middle) for cost in costs) / middle


def any_order(workload: Workload, repeats: int) -> dict[str, float]:
    r"""Seconds for shuffled nodes as they are, for a sorted copy, and had they been so.

    Args:
        workload (Workload): What is pooled.
        repeats (int): Timed turns.
    """
    readout = UOTPAggregation(workload.channels)
    x, index = workload.batch()
    shuffled = index[torch.randperm(index.numel())]
    sets = len(workload.sizes)

    grad = torch.randn(sets, workload.channels)

    def pool(values: Tensor, of: Tensor) -> Tensor:
        pooled: Tensor = readout(values, of, dim_size=sets)
        return pooled

    def sorted_copy() -> Tensor:
        ordered, order = shuffled.sort(stable=True)
        return pool(x[order], ordered)

    def train_by(way: Callable[[], Tensor]) -> Callable[[], None]:
        def step() -> None:
            x.grad = None
            torch.autograd.backward(way(), grad)

        return step

    ways = {
        "in place": train_by(lambda: pool(x, shuffled)),
        "sorted copy": train_by(sorted_copy),
        "sorted already": train_by(lambda: pool(x, index)),
    }
    return interleaved(ways, repeats)
