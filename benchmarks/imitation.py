r"""How close the layer comes to conventional poolings, on features of trained GINs.

    python -m benchmarks.imitation
    python -m benchmarks.imitation --dataset MUTAG --root data/tu

For each pooling a GIN is trained with PyG's own aggregator. On what it hands that
aggregator for the test graphs, the layer is compared with it: in the setting that is
the pooling, and on the way there through finite alphas. Errors are relative,
``|F - G| / |G|`` over all graphs and channels, of float32 outputs F.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch_geometric.nn.aggr import Aggregation

from benchmarks.curves import PALETTE, save
from benchmarks.graph_tasks import Shape
from benchmarks.harness import Training
from benchmarks.output import check_folder, write
from benchmarks.pretrained import Pretrained, load
from torch_geometric_uotp import UOTPAggregation
from torch_geometric_uotp.converters import convert

SOLVERS: dict[str, dict[str, str]] = {
    "Sinkhorn": {},
    "BADMM, entropy": {"solver": "badmm"},
    "BADMM, quadratic": {"solver": "badmm", "regularizer": "quadratic"},
}
EPSILONS = [10.0**-k for k in range(-1, 7)]


@dataclass(frozen=True)
class Approach:
    r"""Coefficients that approach a pooling as epsilon falls.

    Args:
        label (str): What they are, for a person.
        arguments (Callable): Maps epsilon to arguments of the layer.
    """

    label: str
    arguments: Callable[[float], dict[str, float]]


APPROACHES = {
    "mean": Approach(
        "α0 = 1/ε, α1 = α2 = 1",
        lambda epsilon: {"alpha0": 1 / epsilon, "alpha1": 1, "alpha2": 1},
    ),
    "sum": Approach(
        "α0 = 1/ε, α1 = α2 = 1, times the size",
        lambda epsilon: {
            "alpha0": 1 / epsilon,
            "alpha1": 1,
            "alpha2": 1,
            "size_power": 1,
        },
    ),
    "max": Approach(
        "α0 = ε, α1 = 1, α2 = 0",
        lambda epsilon: {"alpha0": epsilon, "alpha1": 1, "alpha2": 0},
    ),
    "attention": Approach(
        "α0 = α1 = 1e6, α2 = 1e6/ε",
        lambda epsilon: {"alpha0": 1e6, "alpha1": 1e6, "alpha2": 1e6 / epsilon},
    ),
}
POOLINGS = [*APPROACHES, "softmax"]


@dataclass(frozen=True)
class Bench:
    r"""The sets that one trained GIN hands its aggregator."""

    reference: Aggregation
    x: Tensor
    batch: Tensor
    num_graphs: int

    @classmethod
    def of(cls, pretrained: Pretrained, pooling: str, seed: int) -> "Bench":
        r"""Of the GIN with that pooling."""
        graphs = pretrained.test_graphs(seed)
        reference = pretrained.model(pooling, seed).readout
        x = pretrained.features(pooling, seed)
        return cls(reference, x, graphs.batch, graphs.num_graphs)

    def pool(self, layer: Aggregation) -> tuple[Tensor, Tensor]:
        r"""The output, and the gradient of its sum with random signs and sizes."""
        x = self.x.clone().requires_grad_()
        out: Tensor = layer(x, self.batch, dim_size=self.num_graphs)
        generator = torch.Generator().manual_seed(0)
        direction = torch.randn(out.shape, generator=generator)
        (gradient,) = torch.autograd.grad(out, x, direction)
        return out.detach(), gradient

    def errors(self, layer: Aggregation) -> list[float]:
        r"""Of output and gradient, against the aggregator."""
        pairs = zip(self.pool(layer), self.pool(self.reference), strict=True)
        return [_distance(found, expected) for found, expected in pairs]


def _distance(found: Tensor, expected: Tensor) -> float:
    found, expected = found.double(), expected.double()
    return float((found - expected).norm() / expected.norm())


def exact(bench: Bench) -> dict[str, list[float] | None]:
    r"""Errors of the setting that is the pooling; none where a solver has none."""
    found: dict[str, list[float] | None] = {}
    for name, solver in SOLVERS.items():
        try:
            layer = convert(bench.reference, bench.x.size(1), **solver)
        except ValueError:
            found[name] = None
        else:
            found[name] = bench.errors(layer)
    return found


def approach(bench: Bench, pooling: str) -> dict[str, list[float]]:
    r"""Errors of the outputs at each of ``EPSILONS``."""
    prior = {"node_prior": bench.reference.gate_nn} if pooling == "attention" else {}
    arguments = APPROACHES[pooling].arguments

    def error(epsilon: float, solver: Mapping[str, str]) -> float:
        kwargs: dict[str, Any] = {**arguments(epsilon), **solver, **prior}
        layer = UOTPAggregation(bench.x.size(1), learn=False, **kwargs)
        return bench.errors(layer)[0]

    return {
        name: [error(epsilon, solver) for epsilon in EPSILONS]
        for name, solver in SOLVERS.items()
    }


def measure(pretrained: Pretrained, seed: int) -> dict[str, Any]:
    r"""All errors."""
    benches = {name: Bench.of(pretrained, name, seed) for name in POOLINGS}
    return {
        "dataset": pretrained.dataset.name,
        "epsilons": EPSILONS,
        "exact": {name: exact(bench) for name, bench in benches.items()},
        "approach": {name: approach(benches[name], name) for name in APPROACHES},
    }


def tables(found: Mapping[str, Any]) -> str:
    r"""Markdown: the exact settings, then each approach."""
    parts = [_table("exactly", found["exact"], _pair)]
    for name, errors in found["approach"].items():
        steps = zip(*errors.values(), strict=True)
        rows = {
            f"ε = {epsilon:g}": dict(zip(errors, step, strict=True))
            for epsilon, step in zip(found["epsilons"], steps, strict=True)
        }
        title = f"{name}: {APPROACHES[name].label}"
        parts.append(_table(title, rows, "{:.1e}".format))
    return "\n\n".join(parts)


def _table(
    title: str, rows: Mapping[str, Mapping[str, Any]], cell: Callable[[Any], str]
) -> str:
    lines = [f"| {title} | {' | '.join(SOLVERS)} |", f"|---|{'---|' * len(SOLVERS)}"]
    for name, row in rows.items():
        lines.append(f"| {name} | {' | '.join(map(cell, row.values()))} |")
    return "\n".join(lines)


def _pair(errors: Sequence[float] | None) -> str:
    return "none" if errors is None else " / ".join(f"{e:.1e}" for e in errors)


def figure(found: Mapping[str, Any]) -> Figure:
    r"""A panel for each pooling: the error against epsilon, falling to the right."""
    made = Figure(figsize=(11, 6.4), layout="constrained")
    panels = made.subplots(2, 2, sharex=True, sharey=True)
    for axes, (name, errors) in zip(
        panels.flat, found["approach"].items(), strict=True
    ):
        for number, (solver, values) in enumerate(errors.items()):
            axes.loglog(
                found["epsilons"],
                values,
                marker="os^"[number],
                color=PALETTE[number],
                label=solver,
            )
        axes.axhline(1e-6, color="0.5", linestyle=":")
        axes.set_title(f"{name}: {APPROACHES[name].label}", fontsize=10)
        axes.grid(alpha=0.3)
    panels[0, 0].invert_xaxis()
    panels[0, 0].legend()
    made.supxlabel("ε, towards the limit")
    made.supylabel("relative error of the pooled features")
    return made


def parser() -> argparse.ArgumentParser:
    r"""The command line."""
    made = argparse.ArgumentParser("imitation", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    add = made.add_argument
    add("--dataset", default="solubility", help="'solubility', or a TUDataset name")
    add("--root", type=Path, help="folder of TU sets")
    add("--epochs", type=int, default=60, help="of the GINs, at most")
    add("--seed", type=int, default=0)
    add("--out", type=Path, default=Path("runs/imitation"), help="folder")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    r"""Measures, prints, writes; returns the exit status."""
    args = parser().parse_args(argv)
    try:
        training = Training(args.epochs, patience=20)
        check_folder(args.out, "--out")
        dataset = load(args.dataset, args.root)
    except ValueError as error:
        print(f"imitation: {error}", file=sys.stderr)
        return 2
    pretrained = Pretrained(dataset, training, Shape(), args.out)
    try:
        found = measure(pretrained, args.seed)
        print(f"{dataset.describe()}\n\n{tables(found)}\n")
        write_all(found, args.out / dataset.name)
    except OSError as error:
        print(f"imitation: {error}", file=sys.stderr)
        return 1
    return 0


def write_all(found: Mapping[str, Any], path: Path) -> None:
    r"""Writes the numbers and the figure, and prints where they are.

    Raises:
        OSError: If one cannot be written; it names the file.
    """
    results = write(path.with_name(f"{path.name}.json"), json.dumps(found, indent=1))
    drawn = save(figure(found), path.with_name(f"{path.name}.png"))
    print(f"results: {results}, {drawn}")


if __name__ == "__main__":
    sys.exit(main())
