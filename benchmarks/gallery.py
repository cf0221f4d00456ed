r"""Draws the figures of docs/plots.md from models trained on real data.

    python -m benchmarks.gallery

A GIN on molecules and small CNNs on handwritten digits are trained for that, in a
minute or two.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks import digits
from benchmarks.curves import save
from benchmarks.experiment import Experiment
from benchmarks.graph_data import GraphBatch
from benchmarks.graph_model import GraphClassifier
from benchmarks.graph_tasks import Shape, Source, task
from benchmarks.harness import Training
from benchmarks.molecules import choose
from benchmarks.output import check_folder
from torch_geometric_uotp import Solution, UOTPAggregation, UOTPPool2d, plot

ATOMS = range(9, 15)
SHOWN = 4
PIXELS = (8, 8)


class Molecules(NamedTuple):
    r"""A trained GIN and some molecules of the test set, the same number a class."""

    model: GraphClassifier
    graphs: GraphBatch
    symbols: list[list[str]]
    titles: list[str]

    def solve(self) -> Solution:
        r"""What its readout does with them."""
        with torch.no_grad():
            nodes = self.model.embed(self.graphs)
            solution: Solution = self.model.readout.solve(nodes, self.graphs.batch)
        return solution


def train_on_molecules(training: Training, per_class: int = 1) -> Molecules:
    r"""Trains a GIN with a UOTP readout on the solubility of molecules."""
    source = Source("solubility")
    experiment = Experiment(task(source, training, Shape()))
    model, _ = experiment.train(experiment.key("uotp", 0, 0))
    assert isinstance(model, GraphClassifier)
    dataset = source.load()
    test = dataset.split(dataset.graphs.y, 0, 0).test
    tested = [dataset.molecules[i] for i in test.tolist()]
    chosen = choose(tested, dataset.graphs.y[test].tolist(), per_class, ATOMS)
    graphs, classes = dataset.graphs.select(test[chosen])
    symbols = [[a.GetSymbol() for a in tested[i].GetAtoms()] for i in chosen]
    titles = [
        f"{tested[i].GetProp('_Name').replace('_', ' ')}\n{dataset.classes[y]}"
        for i, y in zip(chosen, classes.tolist(), strict=True)
    ]
    return Molecules(model.eval(), graphs, symbols, titles)


def plan_figure(molecules: Molecules) -> Figure:
    r"""The plan of the last molecule, its rows named after the atoms."""
    number = molecules.graphs.num_graphs - 1
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = plot.plan(molecules.solve(), number, figure.add_subplot())
    axes.set_yticks(range(len(molecules.symbols[number])), molecules.symbols[number])
    axes.set_ylabel(f"atom of {molecules.titles[number].splitlines()[0]}")
    return figure


def graph_figure(molecules: Molecules) -> Figure:
    r"""All of the molecules, under one scale."""
    solution, count = molecules.solve(), molecules.graphs.num_graphs
    scale = plot.share_scale(*(plot.shares(solution, i) for i in range(count)))
    figure = Figure(figsize=(3.2 * count + 1, 3.6), layout="constrained")
    panels = figure.subplots(1, count)
    for number, axes in enumerate(panels):
        plot.on_graph(
            solution,
            molecules.graphs.edge_index,
            number,
            labels=molecules.symbols[number],
            scale=scale,
            axes=axes,
        )
        axes.set_title(molecules.titles[number], fontsize=11)
    plot.share_bar(scale, panels)
    return figure


def image_figure(model: digits.DigitClassifier, images: Tensor) -> Figure:
    r"""Some digits without and with the shares of their pixels."""
    pool = model.pool
    assert isinstance(pool, UOTPPool2d)
    with torch.no_grad():
        solution = pool.solve(model.features(images))
    scale = plot.share_scale(*(plot.shares(solution, i) for i in range(len(images))))
    figure = Figure(figsize=(1.8 * len(images) + 1, 3.6), layout="constrained")
    panels = figure.subplots(2, len(images))
    for number, (plain, covered) in enumerate(panels.T):
        plain.imshow(images[number, 0].numpy(), cmap="gray")
        plain.set_axis_off()
        plot.on_image(
            solution, images[number], PIXELS, number, scale=scale, axes=covered
        )
    plot.share_bar(scale, panels)
    return figure


def coefficient_figure(layers: dict[str, plot.Layer]) -> Figure:
    r"""Several layers among the conventional poolings."""
    figure = Figure(figsize=(6.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for label, layer in layers.items():
        plot.coefficients(layer, label, axes=axes)
    return figure


def draw_all(epochs: int | None = None) -> dict[str, Figure]:
    r"""Trains what is needed and draws all figures, by their file names.

    Args:
        epochs (int, optional): At most so many. (default: 60 on molecules, 20 on
            digits)
    """
    molecules = train_on_molecules(Training(epochs or 60, patience=20))
    pools = ("uotp", "uotp-heads", "uotp-steps")
    training = Training(epochs or 20)
    models = {pool: digits.train(pool, 0, training)[0] for pool in pools}
    layers = {
        "start": UOTPAggregation(64),
        "molecules": molecules.model.readout,
        "digits": models["uotp"].pool,
        "digits, 4 heads": models["uotp-heads"].pool,
        "digits, own steps": models["uotp-steps"].pool,
    }
    images = digits.load()[0][:SHOWN]
    return {
        "plan": plan_figure(molecules),
        "shares_graph": graph_figure(molecules),
        "shares_image": image_figure(models["uotp"], images),
        "square": coefficient_figure(layers),
    }


def main(argv: Sequence[str] | None = None) -> int:
    r"""Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser("gallery", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder")
    parser.add_argument("--epochs", type=int, help="(default: 60 and 20)")
    args = parser.parse_args(argv)
    try:
        check_folder(args.out, "--out")
    except ValueError as error:
        print(f"gallery: {error}", file=sys.stderr)
        return 2
    figures = draw_all(args.epochs)
    try:
        for name, figure in figures.items():
            path = args.out / f"{name}.png"
            print(save(figure, path, dpi=90, pil_kwargs={"optimize": True}))
    except OSError as error:
        print(f"gallery: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
