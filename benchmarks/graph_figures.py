r"""All figures of a graph classification experiment."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import curves
from benchmarks.experiment import Experiment
from benchmarks.graph_data import GraphBatch, GraphDataset
from benchmarks.graph_model import GraphClassifier
from benchmarks.molecules import Panel, choose, draw
from benchmarks.records import Key
from torch_geometric_uotp import plot

PER_CLASS = 4
ATOMS = range(7, 18)
TITLE = (
    "Which atoms {readout} pools from (test set; green: predicted right, red: wrong)"
)


def draw_all(
    experiment: Experiment,
    dataset: GraphDataset,
    keys: Sequence[Key],
    records: Sequence[Mapping[str, Any]],
    folder: Path,
) -> Iterator[Path]:
    r"""Draws what there is to draw of these runs into ``folder`` and yields the files.

    Molecules are drawn from the first seed of each readout that transports.
    """
    yield curves.save(curves.accuracies(records), folder / "accuracies.png")
    transports = {record["readout"] for record in records if record["watched"]}
    if transports:
        yield curves.save(curves.coefficients(records), folder / "coefficients.png")
    for key in keys if dataset.molecules else ():
        if key.readout in transports:
            transports.remove(key.readout)
            title = TITLE.format(readout=key.readout)
            figure = draw(molecule_panels(experiment, dataset, key), title)
            yield curves.save(figure, folder / f"molecules_{key.readout}.png")


def molecule_panels(
    experiment: Experiment, dataset: GraphDataset, key: Key
) -> list[Panel]:
    r"""Some test molecules of each class, with what the trained model makes of them.

    They are chosen by size and order, not by how well they are classified.
    """
    test = dataset.split(dataset.graphs.y, key.fold, key.seed).test
    molecules = [dataset.molecules[i] for i in test.tolist()]
    chosen = choose(molecules, dataset.graphs.y[test].tolist(), PER_CLASS, ATOMS)
    graphs, classes = dataset.graphs.select(test[chosen].to(dataset.graphs.y.device))
    model = experiment.trained(key)
    assert isinstance(model, GraphClassifier)
    predicted, shares = inspect(model, graphs)
    panels = []
    for place, share, true, guess in zip(
        chosen, shares, classes.tolist(), predicted, strict=True
    ):
        molecule = molecules[place]
        outcome = f"{dataset.classes[true]}, predicted {dataset.classes[guess]}"
        title = f"{_name(molecule)}\n{outcome}"
        panels.append(Panel(molecule, share, title, guess == true))
    return panels


def _name(molecule: Any, length: int = 30) -> str:
    name = molecule.GetProp("_Name").replace("_", " ").replace("ﾴ", "'")
    return name if len(name) <= length else f"{name[: length - 1]}…"


@torch.no_grad()
def inspect(
    model: GraphClassifier, graphs: GraphBatch
) -> tuple[list[int], list[np.ndarray]]:
    r"""Predicted classes, and each graph's nodes' shares relative to an equal one."""
    size = graphs.num_graphs
    solution = model.readout.solve(model.embed(graphs), graphs.batch, dim_size=size)
    shares = [plot.shares(solution, number) for number in range(size)]
    return model(graphs).argmax(-1).tolist(), shares
