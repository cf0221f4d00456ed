r"""One data set, one configuration: trains any readout at any seed."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from benchmarks.graph_data import GraphBatches, GraphDataset
from benchmarks.graph_model import GraphClassifier
from benchmarks.harness import Loaders, Training, fit
from benchmarks.readouts import resolve
from benchmarks.records import Key, digest
from torch_geometric_uotp import UOTPAggregation, __version__


@dataclass(frozen=True)
class Shape:
    r"""The sizes of the model and of its batches.

    Raises:
        ValueError: If a size is below 1 or the dropout not in [0, 1).
    """

    hidden: int = 64
    num_layers: int = 3
    dropout: float = 0.2
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name in ("hidden", "num_layers", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"'{name}' must be at least 1 (got {getattr(self, name)})"
                )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"'dropout' must be in [0, 1) (got {self.dropout})")


@dataclass(frozen=True)
class Experiment:
    r"""Everything that is equal for all readouts and seeds.

    Args:
        dataset (GraphDataset): The graphs, on the device to train on.
        training (Training): How to train.
        shape (Shape): The sizes of the model.
        out (Path): The folder of the trained weights.
    """

    dataset: GraphDataset
    training: Training
    shape: Shape
    out: Path

    @property
    def settings(self) -> dict[str, Any]:
        r"""What a record's ``configuration`` is the digest of."""
        return {**asdict(self.training), **asdict(self.shape), "version": __version__}

    def key(self, readout: str, seed: int) -> Key:
        r"""The key of one run."""
        return Key(self.dataset.name, readout, seed, digest(self.settings))

    def run(self, key: Key) -> Mapping[str, Any]:
        r"""Trains and tests one readout at one seed, and keeps its weights.

        On a CPU the result depends on the key and the number of threads alone.
        """
        torch.manual_seed(key.seed)
        model = self._model(key.readout)
        torch.manual_seed(key.seed)
        label = f"{key.readout}, seed {key.seed}"
        values = fit(
            model,
            self._loaders(key.seed),
            cross_entropy,
            self.training,
            label=label,
            watch=_watch(model),
        )
        self.weights(key).parent.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), self.weights(key))
        return {
            **values,
            "majority_accuracy": self._majority_accuracy(key.seed),
            "settings": self.settings,
        }

    def trained(self, key: Key) -> GraphClassifier:
        r"""The model of an earlier run, in evaluation mode.

        Raises:
            ValueError: If its weights are those of another version of the model.
        """
        model = self._model(key.readout)
        try:
            model.load_state_dict(torch.load(self.weights(key)))
        except RuntimeError as error:
            raise ValueError(
                f"{self.weights(key)} is of another version; run again with --fresh"
            ) from error
        return model.eval()

    def weights(self, key: Key) -> Path:
        r"""The file of a run's trained weights."""
        return self.out / "models" / f"{'_'.join(map(str, key))}.pt"

    def _model(self, readout: str) -> GraphClassifier:
        x, shape = self.dataset.graphs.x, self.shape
        sizes = (shape.hidden, shape.num_layers, shape.dropout)
        return GraphClassifier(
            x.size(1), len(self.dataset.classes), resolve(readout), *sizes
        ).to(x.device)

    def _loaders(self, seed: int) -> Loaders:
        graphs, size = self.dataset.graphs, self.shape.batch_size
        train, val, test = self.dataset.split(seed)
        shuffle = torch.Generator().manual_seed(seed)
        return Loaders(
            GraphBatches(graphs, train, size, shuffle),
            GraphBatches(graphs, val, size),
            GraphBatches(graphs, test, size),
        )

    def _majority_accuracy(self, seed: int) -> float:
        split, y = self.dataset.split(seed), self.dataset.graphs.y
        return float((y[split.test] == y[split.train].mode().values).float().mean())


def _watch(model: GraphClassifier) -> Callable[[], dict[str, list[list[float]]]] | None:
    readout = model.readout
    if not isinstance(readout, UOTPAggregation):
        return None
    return lambda: {
        name: value.tolist() for name, value in readout.coefficients().items()
    }
