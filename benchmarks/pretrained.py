r"""GINs that are trained once, kept, and started from."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import graph_tasks
from benchmarks.experiment import Experiment
from benchmarks.graph_data import GraphBatch, GraphDataset
from benchmarks.graph_model import GraphClassifier
from benchmarks.graph_tasks import Shape, Source
from benchmarks.harness import Loaders, Training
from benchmarks.records import Key


def load(name: str, root: Path | None, cache: Path = Path(".cache/tu")) -> GraphDataset:
    r"""The molecules of ``'solubility'``, or a TUDataset below ``root``.

    Raises:
        ValueError: If it cannot be had; the message says what is missing.
    """
    return Source(name, root, cache).load()


@dataclass(frozen=True)
class Pretrained:
    r"""The GINs of one data set.

    Args:
        dataset (GraphDataset): The graphs.
        training (Training): How the GINs are trained.
        shape (Shape): Their sizes.
        out (Path): The folder of the folder of their weights.
    """

    dataset: GraphDataset
    training: Training
    shape: Shape
    out: Path

    @property
    def _experiment(self) -> Experiment:
        task = graph_tasks.task(self.dataset, self.training, self.shape)
        return Experiment(task, models=self.out / "models", entries=("pretrained",))

    def key(self, readout: str, run: int) -> Key:
        r"""What identifies a GIN, its training included."""
        experiment = self._experiment
        return experiment.key(readout, *experiment.task.place(run))

    def run_of(self, key: Key) -> int:
        r"""The number of a run."""
        return self._experiment.task.run_of(key.fold, key.seed)

    def model(self, readout: str, run: int) -> GraphClassifier:
        r"""The GIN with that readout, in evaluation mode, trained if need be."""
        key = self.key(readout, run)
        if not self._experiment.weights(key).is_file():
            self._experiment.run(key)
        model = self._experiment.trained(key)
        assert isinstance(model, GraphClassifier)
        return model

    def loaders(self, run: int) -> Loaders:
        r"""The batches it is trained on, in the same order again."""
        return self._experiment.loaders(self.key("mean", run))

    def test_graphs(self, run: int) -> GraphBatch:
        r"""The graphs it has not seen, as one batch."""
        fold, seed = self._experiment.task.place(run)
        test = self.dataset.split(self.dataset.graphs.y, fold, seed).test
        graphs, _ = self.dataset.graphs.select(test)
        return graphs

    def features(self, readout: str, run: int) -> Tensor:
        r"""What that GIN hands its readout for those graphs, [N, hidden]."""
        model = self.model(readout, run)
        with torch.no_grad():
            return model.embed(self.test_graphs(run))
