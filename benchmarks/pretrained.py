r"""GINs that are trained once, kept, and started from."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import solubility, tu
from benchmarks.graph_data import GraphBatch, GraphBatches, GraphDataset
from benchmarks.graph_experiment import Experiment, Shape
from benchmarks.graph_model import GraphClassifier
from benchmarks.harness import Loaders, Training
from benchmarks.records import Key


def load(name: str, root: Path | None, cache: Path = Path(".cache/tu")) -> GraphDataset:
    r"""The molecules of ``'solubility'``, or a TUDataset below ``root``.

    Raises:
        ValueError: If it cannot be had; the message says what is missing.
    """
    return solubility.load() if name == "solubility" else tu.load(name, root, cache)


@dataclass(frozen=True)
class Pretrained:
    r"""The GINs of one data set.

    Args:
        dataset (GraphDataset): The graphs.
        training (Training): How the GINs are trained.
        shape (Shape): Their sizes.
        out (Path): The folder of their weights.
    """

    dataset: GraphDataset
    training: Training
    shape: Shape
    out: Path

    @property
    def _experiment(self) -> Experiment:
        return Experiment(self.dataset, self.training, self.shape, self.out)

    def key(self, readout: str, seed: int) -> Key:
        r"""What identifies a GIN, its training included."""
        return self._experiment.key(readout, seed)

    def model(self, readout: str, seed: int) -> GraphClassifier:
        r"""The GIN with that readout, in evaluation mode, trained if need be."""
        key = self.key(readout, seed)
        if not self._experiment.weights(key).is_file():
            self._experiment.run(key)
        return self._experiment.trained(key)

    def loaders(self, seed: int) -> Loaders:
        r"""The batches it is trained on, in the same order again."""
        graphs, size = self.dataset.graphs, self.shape.batch_size
        train, val, test = self.dataset.split(seed)
        shuffle = torch.Generator().manual_seed(seed)
        return Loaders(
            GraphBatches(graphs, train, size, shuffle),
            GraphBatches(graphs, val, size),
            GraphBatches(graphs, test, size),
        )

    def test_graphs(self, seed: int) -> GraphBatch:
        r"""The graphs it has not seen, as one batch."""
        graphs, _ = self.dataset.graphs.select(self.dataset.split(seed).test)
        return graphs

    def features(self, readout: str, seed: int) -> Tensor:
        r"""What that GIN hands its readout for those graphs, [N, hidden]."""
        model = self.model(readout, seed)
        with torch.no_grad():
            return model.embed(self.test_graphs(seed))
