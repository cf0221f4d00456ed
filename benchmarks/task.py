r"""One data set with all that is equal for its readouts: splits, model, training."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor
from torch.nn import Module

from benchmarks.examples import Augment, Examples
from benchmarks.harness import Training
from benchmarks.readouts import Readout
from benchmarks.splits import Split


@dataclass(frozen=True)
class Task:
    r"""A data set of an application, and how models of it are made and trained.

    A task is cheap to make: nothing is read before :attr:`data` is called.

    Args:
        application (str): ``'graphs'``, ``'bags'``, ``'images'`` or ``'landscape'``.
        name (str): Of the data set.
        data (Callable): Maps a seed to the examples; real ones are always the same,
            generated ones are drawn by it.
        split (Callable): Maps classes, fold and seed to a
            :class:`~benchmarks.splits.Split`.
        model (Callable): Maps examples and readout to a new classifier.
        training (Training): How it is trained.
        batch_size (int): Examples in a batch. (default: :obj:`64`)
        num_folds (int): Folds there are. (default: :obj:`1`)
        runs (int): How many pairs of fold and seed the suite runs.
            (default: :obj:`10`)
        generated (bool): Whether a seed draws examples of its own, so that runs are
            independent, or the runs share theirs. (default: :obj:`False`)
        left_out (tuple): Readouts that are beyond memory here. (default: none)
        long (bool): Whether runs take so long that the suite does those of the
            readouts alone that decide. (default: :obj:`False`)
        settings (Mapping): What else a result depends on, as JSON values: sizes of
            the model, levels of a generator.
        augment (Callable, optional): Of training batches. (default: none)
    """

    application: str
    name: str
    data: Callable[[int], Examples]
    split: Callable[[Tensor, int, int], Split]
    model: Callable[[Any, Readout], Module]
    training: Training
    batch_size: int = 64
    num_folds: int = 1
    runs: int = 10
    generated: bool = False
    left_out: tuple[str, ...] = ()
    long: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    augment: Augment | None = None

    def configuration(self) -> dict[str, Any]:
        r"""What a record's ``configuration`` is the digest of."""
        return {
            **asdict(self.training),
            **self.settings,
            "batch_size": self.batch_size,
            "num_folds": self.num_folds,
        }

    def places(self, count: int) -> list[tuple[int, int]]:
        r"""The first ``count`` pairs of fold and seed, all folds of a seed first."""
        return [self.place(run) for run in range(count)]

    def place(self, run: int) -> tuple[int, int]:
        r"""Fold and seed of a run, by its number from 0."""
        seed, fold = divmod(run, self.num_folds)
        return fold, seed

    def run_of(self, fold: int, seed: int) -> int:
        r"""The number of a run."""
        return self.num_folds * seed + fold
