r"""One task: trains any readout at any fold and seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import Module
from torch.nn.functional import cross_entropy

from benchmarks import stored
from benchmarks.examples import Batches, Examples
from benchmarks.harness import Loaders, fit
from benchmarks.readouts import resolve
from benchmarks.records import Key, digest
from benchmarks.task import Task
from benchmarks.version import ENTRIES, code_version
from torch_geometric_uotp import backend

SECOND = ("test_accuracy", "test_auc", "best_epoch")


@dataclass(frozen=True)
class Experiment:
    r"""Everything that is equal for all readouts, folds and seeds.

    Args:
        task (Task): What is learned.
        device (str): Where. (default: ``cpu``)
        models (Path, optional): A folder to keep trained weights in.
            (default: they are not kept)
        entries (tuple): The modules whose sources a result depends on, see
            :func:`benchmarks.version.code_version`. (default: those of the suite)
    """

    task: Task
    device: str = "cpu"
    models: Path | None = None
    entries: tuple[str, ...] = ENTRIES

    def key(self, readout: str, fold: int, seed: int) -> Key:
        r"""The key of one run."""
        return Key(
            self.task.application,
            self.task.name,
            readout,
            fold,
            seed,
            digest(self.task.configuration()),
            code_version(self.entries),
        )

    def run(self, key: Key) -> dict[str, Any]:
        r"""Trains and tests one readout, keeps its weights, returns its record."""
        model, values = self.train(key)
        if self.models is not None:
            stored.save(self.weights(key), model.state_dict())
        return values

    def train(self, key: Key) -> tuple[Module, dict[str, Any]]:
        r"""The trained model and its record.

        On a CPU both depend on the key and the number of threads alone. The seed of
        the weights and of the shuffling is one of fold and seed together, and the
        same for all readouts.
        """
        examples, run = self._examples(key), self.task.run_of(key.fold, key.seed)
        loaders = self.loaders(key)
        torch.manual_seed(run)
        model = self._model(examples, key)
        torch.manual_seed(run)
        values = fit(
            model,
            loaders,
            cross_entropy,
            self.task.training,
            label=f"{key.dataset}, {key.readout}, fold {key.fold}, seed {key.seed}",
            watch=watch(model),
        )
        facts = {
            "settings": self.task.configuration(),
            "torch": torch.__version__,
            "backend": backend(),
        }
        return model, {**values, **facts, **self._numbers(examples, key)}

    def loaders(self, key: Key) -> Loaders:
        r"""The batches of a run; those to train with in the same order again."""
        examples, size = self._examples(key), self.task.batch_size
        train, val, test = self.task.split(examples.y.cpu(), key.fold, key.seed)
        examples = examples.fitted(train.to(self.device))
        run = self.task.run_of(key.fold, key.seed)
        shuffle = torch.Generator().manual_seed(run)
        return Loaders(
            Batches(examples, train, size, shuffle, self.task.augment),
            Batches(examples, val, size),
            Batches(examples, test, size),
        )

    def trained(self, key: Key) -> Module:
        r"""The model of an earlier run, in evaluation mode.

        Raises:
            ValueError: If its weights cannot be read, or are those of another version
                of the model.
        """
        model = self._model(self._examples(key), key)
        state = stored.load(self.weights(key))
        try:
            model.load_state_dict(state)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"{self.weights(key)} is of another version; run again with --fresh"
            ) from error
        return model.eval()

    def weights(self, key: Key) -> Path:
        r"""The file of a run's trained weights."""
        assert self.models is not None
        return self.models / f"{'_'.join(map(str, key))}.pt"

    def _examples(self, key: Key) -> Examples:
        return self.task.data(key.seed).to(self.device)

    def _model(self, examples: Examples, key: Key) -> Module:
        return self.task.model(examples, resolve(key.readout)).to(self.device)

    def _numbers(self, examples: Examples, key: Key) -> dict[str, float]:
        y = examples.y.cpu()
        train, _, test = self.task.split(y, key.fold, key.seed)
        majority = y[train].mode().values
        # By how much runs depend on one another: Nadeau and Bengio's ratio.
        ratio = 0.0 if self.task.generated else len(test) / (len(y) - len(test))
        return {
            "majority_accuracy": float((y[test] == majority).float().mean()),
            "num_test": len(test),
            "test_ratio": ratio,
        }


def watch(model: Module) -> Callable[[], Mapping[str, Any]] | None:
    r"""A function that tells the coefficients of the transport in ``model``.

    It returns :meth:`~torch_geometric_uotp.UOTPAggregation.coefficients` as lists;
    there is none if nothing in the model has coefficients.
    """
    layers: list[Any] = [
        layer for layer in model.modules() if hasattr(layer, "coefficients")
    ]
    if not layers:
        return None
    return lambda: {
        name: value.tolist() for name, value in layers[0].coefficients().items()
    }


def concise(record: Mapping[str, Any]) -> dict[str, Any]:
    r"""A record without its epochs; of the coefficients, those of the epoch kept.

    Numbers are rounded to six digits, and settings left to their digest.
    """
    omitted = ("history", "watched", "settings", "by_accuracy")
    short = {name: record[name] for name in record if name not in omitted}
    watched = record["watched"]
    kept = watched[record["best_epoch"]] if watched else {}
    second = record["by_accuracy"]
    short["coefficients"] = {name: kept[name] for name in ("t", "r_q") if name in kept}
    short["by_accuracy"] = {name: second[name] for name in SECOND}
    rounded: dict[str, Any] = _rounded(short)
    return rounded


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
