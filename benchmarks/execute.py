r"""Performs a run of the suite, in whatever process it finds itself.

Apart from the command, since another process does not find what a command's own module
defines.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from benchmarks import graph_tasks, image_classification, landscape, multi_instance
from benchmarks.experiment import Experiment, concise
from benchmarks.records import Key
from benchmarks.task import Task

APPLICATIONS: dict[str, Callable[[Path | None], list[Task]]] = {
    "graphs": graph_tasks.tasks,
    "bags": multi_instance.tasks,
    "images": image_classification.tasks,
    "landscape": landscape.tasks,
}


def limited(task: Task, epochs: int | None, runs: int | None = None) -> Task:
    r"""A task with as many epochs at most, and that many runs."""
    training = task.training
    if epochs is not None:
        training = replace(training, epochs=min(epochs, training.epochs))
    return replace(task, training=training, runs=task.runs if runs is None else runs)


@cache
def _task(application: str, root: Path | None, name: str) -> Task:
    return next(task for task in APPLICATIONS[application](root) if task.name == name)


@dataclass(frozen=True)
class Execute:
    r"""Maps the key of a run to its record.

    Args:
        root (Path, optional): The folder of the data.
        epochs (int, optional): At most.
    """

    root: Path | None
    epochs: int | None

    def __call__(self, key: Key) -> dict[str, object]:
        torch.set_num_threads(1)
        task = _task(key.application, self.root, key.dataset)
        return concise(Experiment(limited(task, self.epochs)).run(key))
