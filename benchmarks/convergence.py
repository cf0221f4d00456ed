r"""What solving to a tolerance costs, against plain Sinkhorn steps and against POT.

    python -m benchmarks.convergence

Steps are passes over a set: both updates of Sinkhorn, or one product of the same cost
with the system of Newton's method. POT (Python Optimal Transport) solves the same
ragged batch, set by set.
"""

import argparse
import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from benchmarks.timing import interleaved
from benchmarks.workloads import SPREAD, Workload
from torch_geometric_uotp import Problem, UOTPAggregation, backend
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.semiring import LOG_SUM_EXP
from torch_geometric_uotp.solvers import FixedPoint, Sinkhorn
from torch_geometric_uotp.solvers.implicit import converge, take_plain_steps, unpack

TOLERANCE = 1e-6
MANY = 20_000
LARGEST = 100_000  # scores in a problem, but for a single larger set
SHAPES: tuple[tuple[int, int], ...] = (
    *((30, 8), (30, 64), (30, 256)),
    *((100, 8), (100, 64), (100, 256)),
    *((300, 64), (1000, 8), (1000, 64), (1000, 256)),
)
SETTINGS = ((0.01, 1.0, 1.0), (0.01, 1.0, 9.0), (0.1, 1.0, 1.0), (1.0, 1.0, 9.0))
# POT's kernel exp(x / alpha0) overflows where alpha0 is much smaller.
POT_SETTING = (0.1, 1.0, 1.0)


@dataclass(frozen=True)
class Steps:
    r"""Passes to the tolerance, of several random sets of one shape."""

    plain: list[int]
    ours: list[int]

    @property
    def ratios(self) -> list[float]:
        r"""Ours in parts of the plain ones, set by set."""
        return [o / p for o, p in zip(self.ours, self.plain, strict=True)]


def random_sets(
    nodes: int, channels: int, alphas: tuple[float, ...], sets: int
) -> Problem:
    r"""Sets of standard normal scores, in double precision."""
    generator = torch.Generator().manual_seed(nodes * channels)
    shape = (sets * nodes, 1, channels)
    scores = torch.randn(shape, generator=generator, dtype=torch.double)
    ptr = torch.arange(0, sets * nodes + 1, nodes)
    return Problem.create(
        scores,
        Segments.from_ptr(ptr, sets * nodes),
        Coefficients.from_alphas(*alphas),
    )


def count_steps(problem: Problem) -> Steps:
    r"""Passes that each set takes, plainly and by the solver."""
    explicit = problem.explicit()
    plain = take_plain_steps(explicit, LOG_SUM_EXP, TOLERANCE, MANY)[2]
    ours = converge(*unpack(explicit), TOLERANCE, MANY, None)[2]
    return Steps(plain.flatten().tolist(), ours.flatten().tolist())


def against_plain(problem: Problem, steps: int, repeats: int) -> float:
    r"""How many times longer as many plain steps take than the solver."""
    contenders: dict[str, Callable[[], object]] = {
        "plain": lambda: Sinkhorn(steps)(problem),
        "ours": lambda: FixedPoint(TOLERANCE)(problem),
    }
    seconds = interleaved(contenders, repeats, warmup=1)
    return seconds["plain"] / seconds["ours"]


def pot_plans(x: Tensor, sizes: tuple[int, ...]) -> list[Tensor]:
    r"""The plan of each set by POT, divided by its mass."""
    unbalanced = importlib.import_module("ot").unbalanced
    alpha0, alpha1, alpha2 = POT_SETTING
    channels = x.size(1)
    plans = []
    for features in torch.split(x, list(sizes)):
        nodes = features.size(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it overwrites its copy of c
            plan = unbalanced.sinkhorn_unbalanced(
                torch.full((nodes,), 1 / nodes, dtype=x.dtype).numpy(),
                torch.full((channels,), 1 / channels, dtype=x.dtype).numpy(),
                (-features).numpy(),
                reg=alpha0,
                reg_m=(alpha2, alpha1),
                reg_type="entropy",
                stopThr=TOLERANCE,
                numItermax=MANY,
            )
        plans.append(torch.from_numpy(plan / plan.sum()))
    return plans


def against_pot(workload: Workload, repeats: int) -> float:
    r"""How many times longer POT takes for a workload, forward, in double precision.

    Both stop at the same tolerance, each by its own measure; tests hold both to the
    same solution.
    """
    x, index = (tensor.detach() for tensor in workload.batch())
    x = x.double()
    alpha0, alpha1, alpha2 = POT_SETTING
    layer = UOTPAggregation(
        workload.channels,
        alpha0=alpha0,
        alpha1=alpha1,
        alpha2=alpha2,
        learn=False,
        tol=TOLERANCE,
    ).double()
    contenders: dict[str, Callable[[], object]] = {
        "pot": lambda: pot_plans(x, workload.sizes),
        "ours": lambda: layer(x, index, dim_size=len(workload.sizes)),
    }
    seconds = interleaved(contenders, repeats, warmup=1)
    return seconds["pot"] / seconds["ours"]


def table(sets: int, repeats: int) -> str:
    r"""Markdown: steps and time for each setting and shape."""
    lines = [
        "| α0, α1, α2 | N x D | plain steps | ours | ratio, largest | time ratio |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for alphas in SETTINGS:
        for nodes, channels in SHAPES:
            fitting = max(1, min(sets, LARGEST // (nodes * channels)))
            problem = random_sets(nodes, channels, alphas, fitting)
            steps = count_steps(problem)
            plain, ours = median(steps.plain), median(steps.ours)
            time = against_plain(problem, int(plain), repeats)
            lines.append(
                f"| {', '.join(f'{a:g}' for a in alphas)} | {nodes} x {channels} "
                f"| {plain:.0f} | {ours:.0f} "
                f"| {median(steps.ratios):.3f}, {max(steps.ratios):.3f} | {time:.2g} |"
            )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    r"""Measures and prints; returns the exit status."""
    parser = argparse.ArgumentParser("convergence", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--sets",
        type=int,
        default=8,
        help="random sets of each shape, fewer of large ones",
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed calls of each")
    args = parser.parse_args(argv)
    if args.sets < 1 or args.repeats < 1:
        print("convergence: --sets and --repeats must be at least 1")
        return 2
    print(f"{backend()}, {torch.get_num_threads()} threads\n")
    print(table(args.sets, args.repeats))
    print(f"\nPOT over ours, workload A: {against_pot(SPREAD['A'], args.repeats):.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
