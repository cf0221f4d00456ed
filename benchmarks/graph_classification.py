r"""Graph classification with a choice of readouts.

    python -m benchmarks.graph_classification --demo
    python -m benchmarks.graph_classification --dataset MUTAG --root data/tu --seeds 10

A run is one readout at one fold and seed. Each is recorded as it ends, in
``results.jsonl`` of the output folder; what is recorded there for the same data,
configuration and code is not run again.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.experiment import Experiment
from benchmarks.graph_data import GraphDataset
from benchmarks.graph_tasks import Shape, Source, task
from benchmarks.harness import Training
from benchmarks.output import check_folder
from benchmarks.readouts import READOUTS, refuse_unknown
from benchmarks.records import Key, Records, table
from benchmarks.runs import failed, run_missing

SIX = ["mean", "max", "attention", "softmax", "uotp", "uotp-badmm"]
# One thread: on graphs this small a second one hardly helps, and waits for the
# first whenever another program wants the core.
DEMO = {
    "seeds": 10,
    "epochs": 60,
    "patience": 20,
    "threads": 1,
    "out": Path("runs/demo"),
    "figures": True,
}


def parser() -> argparse.ArgumentParser:
    r"""The command line."""
    made = argparse.ArgumentParser("graph_classification", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    add = made.add_argument
    add("--demo", action="store_true", help="defaults for a few minutes, with figures")
    add("--dataset", default="solubility", help="'solubility', or a TUDataset name")
    add("--root", type=Path, help="folder of TU sets: NAME/raw/*.txt, or to load into")
    add("--cache", type=Path, default=Path(".cache/tu"), help="for what is read there")
    add("--readout", nargs="+", default=SIX, metavar="NAME", help=", ".join(READOUTS))
    add("--seeds", type=int, default=3, help="how many (TU: folds, ten a seed)")
    add("--epochs", type=int, default=200, help="at most")
    add("--patience", type=int, default=30, help="epochs to wait for a lower val loss")
    add("--learning-rate", type=float, default=1e-3)
    add("--weight-decay", type=float, default=0.0)
    add("--batch-size", type=int, default=64)
    add("--hidden", type=int, default=64, help="channels of the node embeddings")
    add("--layers", type=int, default=3, help="GIN layers")
    add("--dropout", type=float, default=0.2, help="in the head")
    add("--threads", type=int, help="of torch (default: as torch chooses)")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--out", type=Path, default=Path("runs/graph_classification"), help="folder")
    add("--figures", action="store_true", help="draw the results and what was learned")
    add("--fresh", action="store_true", help="run again what is recorded")
    return made


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    r"""Reads the command line; ``--demo`` sets other defaults and nothing else."""
    made = parser()
    if made.parse_args(argv).demo:
        made.set_defaults(**DEMO)
    return made.parse_args(argv)


def check(args: argparse.Namespace) -> None:
    r"""Refuses what cannot be run.

    Raises:
        ValueError: If a readout is unknown or named twice, a count below 1 or the
            device not there.
    """
    refuse_unknown("--readout", args.readout)
    if args.batch_size < 1:
        raise ValueError(f"'batch_size' must be at least 1 (got {args.batch_size})")
    if args.seeds < 1:
        raise ValueError(f"--seeds must be at least 1 (got {args.seeds})")
    if args.threads is not None and args.threads < 1:
        raise ValueError(f"--threads must be at least 1 (got {args.threads})")
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: torch finds no CUDA device here")


def prepare(args: argparse.Namespace) -> tuple[GraphDataset, Experiment]:
    r"""Checks what is asked for and reads the data.

    Raises:
        ValueError: If something asked for does not exist or makes no sense, or if
            ``--out`` cannot be written to.
    """
    check(args)
    check_folder(args.out, "--out")
    training = Training(
        args.epochs, args.patience, args.learning_rate, args.weight_decay
    )
    shape = Shape(args.hidden, args.layers, args.dropout)
    dataset = Source(args.dataset, args.root, args.cache).load()
    made = task(dataset, training, shape, args.batch_size)
    return dataset, Experiment(made, args.device, args.out / "models")


def run(args: argparse.Namespace, dataset: GraphDataset, experiment: Experiment) -> int:
    r"""Executes what is missing, prints the table, draws the figures asked for.

    Returns the exit status: 1 if a run failed, and then nothing is drawn.
    """

    def again(key: Key) -> bool:
        no_model_to_draw = args.figures and not experiment.weights(key).is_file()
        return bool(args.fresh or no_model_to_draw)

    keys = [
        experiment.key(name, *place)
        for place in experiment.task.places(args.seeds)
        for name in args.readout
    ]
    records = Records(args.out / "results.jsonl")
    results = run_missing(keys, records, experiment.run, again)
    if results:
        print(f"\n{table(results)}\n\nresults: {records.path}")
    if len(results) < len(keys):
        print(failed(len(keys) - len(results)), file=sys.stderr)
        return 1
    if args.figures:
        from benchmarks import graph_figures  # Not at the top: this needs rdkit.

        folder = args.out / "figures"
        for path in graph_figures.draw_all(experiment, dataset, keys, results, folder):
            print(f"figure:  {path}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    r"""Runs the command; returns its exit status."""
    args = parse(argv)
    try:
        dataset, experiment = prepare(args)
    except ValueError as error:
        print(f"graph_classification: {error}", file=sys.stderr)
        return 2
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    print(dataset.describe())
    try:
        return run(args, dataset, experiment)
    except OSError as error:
        print(f"graph_classification: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ninterrupted; the same command goes on from {args.out}")
        return 130


if __name__ == "__main__":
    sys.exit(main())
