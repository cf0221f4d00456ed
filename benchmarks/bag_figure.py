r"""Draws which digits of a bag a trained UOTP readout looks at.

    python -m benchmarks.bag_figure

A model is trained on bags of scikit-learn's digits, does a bag hold a 9?, in some
seconds; some test bags that do are drawn, the share of each digit as the colour of its
frame.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.curves import save
from benchmarks.experiment import Experiment
from benchmarks.harness import Training
from benchmarks.multi_instance import DigitBags, digit_task
from benchmarks.output import check_folder
from benchmarks.sets import SetBatch, SetClassifier
from torch_geometric_uotp import plot

BAGS = DigitBags(500, (10, 2))
NUM_SHOWN = 4
SIDE = 8


def train(training: Training) -> tuple[SetClassifier, SetBatch]:
    r"""A trained classifier, and the first test bags that hold a 9."""
    task = replace(digit_task(BAGS), training=training)
    experiment = Experiment(task)
    model, _ = experiment.train(experiment.key("uotp", 0, 0))
    assert isinstance(model, SetClassifier)
    examples = task.data(0)
    test = task.split(examples.y, 0, 0).test
    positive = test[examples.y[test] == 1][:NUM_SHOWN]
    return model.eval(), examples.select(positive)[0]


def draw(model: SetClassifier, bags: SetBatch) -> Figure:
    r"""A row for each bag, its digits from the smallest to the largest share."""
    with torch.no_grad():
        solution = model.readout.solve(model.encoder(bags.x), bags.batch)
    parts = [plot.shares(solution, number) for number in range(bags.num_sets)]
    scale, width = plot.share_scale(*parts), max(map(len, parts))
    figure = Figure(figsize=(0.75 * width + 1, 0.85 * len(parts)), layout="constrained")
    panels = figure.subplots(len(parts), width, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for number, shares in enumerate(parts):
        images = bags.x[bags.batch == number].view(-1, SIDE, SIDE).numpy()
        for axes, place in zip(panels[number], np.argsort(shares), strict=False):
            _frame(axes, images[place], plot.share_colours()(scale(shares[place])))
    plot.share_bar(scale, panels)
    return figure


def _frame(axes: Axes, image: np.ndarray, colour: tuple[float, ...]) -> None:
    axes.set_axis_on()
    axes.imshow(image, cmap="gray_r")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=5)


def main(argv: Sequence[str] | None = None) -> int:
    r"""Runs the command; returns its exit status."""
    made = argparse.ArgumentParser("bag_figure", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument("--out", type=Path, default=Path("docs/images"), help="folder")
    made.add_argument("--epochs", type=int, default=60, help="at most")
    args = made.parse_args(argv)
    try:
        training = Training(args.epochs, patience=15)
        check_folder(args.out, "--out")
    except ValueError as error:
        print(f"bag_figure: {error}", file=sys.stderr)
        return 2
    figure = draw(*train(training))
    try:
        print(save(figure, args.out / "shares_bag.png"))
    except OSError as error:
        print(f"bag_figure: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
