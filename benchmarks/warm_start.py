r"""Does a trained model gain from a readout that can leave its pooling?

    python -m benchmarks.warm_start
    python -m benchmarks.warm_start --dataset MUTAG --root data/tu --seeds 10

A GIN is trained with a pooling, for a while. From its weights two runs train on: one
as it is, one with the pooling swapped for a layer that equals it. Both see the same
batches, for as many epochs, by a new Adam at the same rate, and keep the epoch of
lowest validation loss, the start included. Results are JSON lines; a command that was
interrupted goes on where it stopped.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from scipy.stats import ttest_rel, wilcoxon
from torch.nn.functional import cross_entropy

from benchmarks.graph_model import GraphClassifier
from benchmarks.graph_tasks import Shape
from benchmarks.harness import Training, evaluate, fit
from benchmarks.output import check_folder
from benchmarks.pretrained import Pretrained, load
from benchmarks.records import Key, Records, digest
from benchmarks.runs import failed, run_missing
from benchmarks.version import code_version
from torch_geometric_uotp import UOTPAggregation, nearest_pooling, swap_readout

Record = Mapping[str, Any]

ARMS = ("kept", "swapped")
POOLINGS = ["mean", "max"]


@dataclass(frozen=True)
class WarmStart:
    r"""What is equal for all runs.

    Args:
        pretrained (Pretrained): The models to start from.
        tuning (Training): How they are trained further.
    """

    pretrained: Pretrained
    tuning: Training

    def key(self, pooling: str, arm: str, run: int) -> Key:
        r"""The key of one run."""
        start = self.pretrained.key(pooling, run)
        settings = {"start": start.configuration, **asdict(self.tuning)}
        return start._replace(
            readout=f"{pooling}, {arm}",
            configuration=digest(settings),
            code=code_version(("warm_start",)),
        )

    def run(self, key: Key) -> Record:
        r"""Trains one model further; the record has its score before, too."""
        pooling, arm = key.readout.split(", ")
        run = self.pretrained.run_of(key)
        model = self.pretrained.model(pooling, run)
        before = self._test(model, run)
        if arm == "swapped":
            swap_readout(model, channels=self.pretrained.shape.hidden)
        changed = abs(self._test(model, run)["test_loss"] - before["test_loss"])
        torch.manual_seed(run)
        loaders = self.pretrained.loaders(run)
        values = fit(model, loaders, cross_entropy, self.tuning, label=key.readout)
        return {
            **values,
            "before": before,
            "changed": changed,
            "learned": self._learned(model, run),
        }

    def _test(self, model: GraphClassifier, run: int) -> dict[str, float]:
        score = evaluate(model, self.pretrained.loaders(run).test, cross_entropy)
        return {"test_loss": score.loss, "test_accuracy": score.accuracy}

    @torch.no_grad()
    def _learned(self, model: GraphClassifier, run: int) -> dict[str, Any]:
        r"""Where the layer is, if there is one: coefficients and distances."""
        layer = model.readout
        if not isinstance(layer, UOTPAggregation):
            return {}
        graphs = self.pretrained.test_graphs(run)
        distances = nearest_pooling(layer, model.embed(graphs), graphs.batch)
        table = {name: value.tolist() for name, value in layer.coefficients().items()}
        return {"coefficients": table, "distances": distances}


def compare(kept: Sequence[Record], swapped: Sequence[Record], what: str) -> str:
    r"""A cell: mean difference ± its standard deviation, and p of two paired tests."""
    pairs = zip(swapped, kept, strict=True)
    differences = [after[what] - other[what] for after, other in pairs]
    scale, unit = (100, " points") if what == "test_accuracy" else (1, "")
    text = f"{scale * mean(differences):+.2g}"
    if len(differences) > 1:
        text += f" ± {scale * stdev(differences):.2g}"
    return f"{text}{unit} {_tests(differences)}"


def _tests(differences: Sequence[float]) -> str:
    if len(set(differences)) < 2:
        return "(no test)"
    zeros = [0.0] * len(differences)
    signed, paired = wilcoxon(differences), ttest_rel(differences, zeros)
    return f"(Wilcoxon p = {signed.pvalue:.2g}, t-test p = {paired.pvalue:.2g})"


def table(results: Mapping[str, Mapping[str, Sequence[Record]]]) -> str:
    r"""Markdown: a line for each pooling."""
    heads = ("pooling", "before", *ARMS, "accuracy, swapped - kept", "test loss")
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for pooling, arms in results.items():
        kept, swapped = (arms[arm] for arm in ARMS)
        cells = [
            pooling,
            _accuracy([run["before"] for run in kept]),
            _accuracy(kept),
            _accuracy(swapped),
            compare(kept, swapped, "test_accuracy"),
            compare(kept, swapped, "test_loss"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _accuracy(runs: Sequence[Record]) -> str:
    values = [100 * run["test_accuracy"] for run in runs]
    spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
    return f"{mean(values):.1f}{spread}"


def learned(swapped: Sequence[Record]) -> str:
    r"""What the swapped layers became: t and r_q, and the nearest poolings."""
    layers = [run["learned"] for run in swapped]
    values = [
        f"{name} {', '.join(map(_readable, _values(layers, name)))}"
        for name in ("t", "r_q")
    ]
    nearest = [next(iter(layer["distances"].items())) for layer in layers]
    values.append(", ".join(f"{name} at {far:.1e}" for name, far in nearest))
    return "; ".join(values)


def _values(layers: Sequence[Record], name: str) -> list[float | None]:
    return [layer["coefficients"][name][0][0] for layer in layers]


def _readable(value: float | None) -> str:
    return "infinite" if value is None else f"{value:.2g}"


def parser() -> argparse.ArgumentParser:
    r"""The command line."""
    made = argparse.ArgumentParser("warm_start", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    add = made.add_argument
    add("--dataset", default="solubility", help="'solubility', or a TUDataset name")
    add("--root", type=Path, help="folder of TU sets")
    add("--pooling", nargs="+", default=POOLINGS, metavar="NAME")
    add("--seeds", type=int, default=10)
    add("--epochs", type=int, default=20, help="of the model to start from")
    add("--more", type=int, default=40, help="epochs after that")
    add("--out", type=Path, default=Path("runs/warm_start"), help="folder")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    r"""Trains what is missing, prints; returns the exit status."""
    args = parser().parse_args(argv)
    try:
        if args.seeds < 1:
            raise ValueError(f"--seeds must be at least 1 (got {args.seeds})")
        start = Training(args.epochs, patience=args.epochs)
        tuning = Training(args.more, patience=args.more)
        check_folder(args.out, "--out")
        dataset = load(args.dataset, args.root)
    except ValueError as error:
        print(f"warm_start: {error}", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    experiment = WarmStart(Pretrained(dataset, start, Shape(), args.out), tuning)
    seeds = range(args.seeds)
    keys = [
        experiment.key(pooling, arm, seed)
        for seed in seeds
        for pooling in args.pooling
        for arm in ARMS
    ]
    try:
        records = Records(args.out / "results.jsonl")
        results = run_missing(keys, records, experiment.run)
    except OSError as error:
        print(f"warm_start: {error}", file=sys.stderr)
        return 1
    if len(results) < len(keys):
        print(failed(len(keys) - len(results)), file=sys.stderr)
        return 1
    by_pooling = {
        pooling: {
            arm: [records[experiment.key(pooling, arm, seed)] for seed in seeds]
            for arm in ARMS
        }
        for pooling in args.pooling
    }
    print(f"{dataset.describe()}\n\n{table(by_pooling)}\n")
    for pooling, arms in by_pooling.items():
        print(f"{pooling}, swapped: {learned(arms['swapped'])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
