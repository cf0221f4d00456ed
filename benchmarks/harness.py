r"""Trains one classifier with early stopping and returns a record.

Nothing here knows what the model reads: images, bags and graphs are all welcome.
"""

import copy
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import Module
from tqdm import tqdm

Batches = Iterable[tuple[Any, Tensor]]
Loss = Callable[[Tensor, Tensor], Tensor]


class Loaders(NamedTuple):
    r"""Three iterables of ``(inputs, target)``; the first one shuffles by itself.

    Targets hold class numbers, int64 of shape :math:`[B]`.
    """

    train: Batches
    val: Batches
    test: Batches


class Score(NamedTuple):
    r"""Mean loss and accuracy over the examples of a loader."""

    loss: float
    accuracy: float


# The epoch a model is judged at is the best one by validation, under either rule.
RULES: dict[str, Callable[[Score], tuple[float, ...]]] = {
    "loss": lambda val: (-val.loss,),
    "accuracy": lambda val: (val.accuracy, -val.loss),
}


@dataclass(frozen=True)
class Training:
    r"""How every model is trained.

    Args:
        epochs (int): Upper limit on the number of epochs. (default: :obj:`200`)
        patience (int): Epochs without a new lowest validation loss before
            stopping. (default: :obj:`30`)
        learning_rate (float): Of Adam, for all parameters. (default: :obj:`1e-3`)
        weight_decay (float): Of Adam. (default: :obj:`0.0`)

    Raises:
        ValueError: If a count is below 1, the rate not positive or the decay
            negative.
    """

    epochs: int = 200
    patience: int = 30
    learning_rate: float = 1e-3
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if min(self.epochs, self.patience) < 1:
            raise ValueError(
                "'epochs' and 'patience' must be at least 1 (got "
                f"{self.epochs} and {self.patience})"
            )
        if not (self.learning_rate > 0 and self.weight_decay >= 0):
            raise ValueError(
                "'learning_rate' must be positive and 'weight_decay' not negative "
                f"(got {self.learning_rate} and {self.weight_decay})"
            )


@dataclass(frozen=True)
class _Checkpoint:
    epoch: int
    score: Score
    state: dict[str, Any]

    @classmethod
    def take(cls, epoch: int, score: Score, model: Module) -> "_Checkpoint":
        return cls(epoch, score, copy.deepcopy(model.state_dict()))


def train_epoch(
    model: Module, batches: Batches, loss: Loss, optimizer: torch.optim.Optimizer
) -> float:
    r"""One pass over ``batches``; returns the mean training loss per example."""
    model.train()
    total, count = 0.0, 0
    for inputs, target in batches:
        optimizer.zero_grad()
        value = loss(model(inputs), target)
        torch.autograd.backward(value)
        optimizer.step()
        total += float(value.detach()) * len(target)
        count += len(target)
    return total / count


@torch.no_grad()
def predict(model: Module, batches: Batches) -> tuple[Tensor, Tensor]:
    r"""Logits of ``model``, in evaluation mode, and targets, of all examples."""
    model.eval()
    pairs = [(model(inputs), target) for inputs, target in batches]
    logits, targets = zip(*pairs, strict=True)
    return torch.cat(logits), torch.cat(targets)


def evaluate(model: Module, batches: Batches, loss: Loss) -> Score:
    r"""Scores ``model``, in evaluation mode, on every example of ``batches``."""
    return _score(*predict(model, batches), loss)


def _score(logits: Tensor, target: Tensor, loss: Loss) -> Score:
    right = logits.argmax(dim=-1) == target
    return Score(float(loss(logits, target)), float(right.double().mean()))


def auc(logits: Tensor, target: Tensor) -> float | None:
    r"""Area under the ROC curve; none unless there are two classes, both present."""
    both = 0 < int(target.sum()) < len(target)
    if logits.size(1) != 2 or not both or not logits.isfinite().all():
        return None
    margin = (logits[:, 1] - logits[:, 0]).cpu()
    return float(roc_auc_score(target.cpu().numpy(), margin.numpy()))


def fit(
    model: Module,
    loaders: Loaders,
    loss: Loss,
    training: Training,
    *,
    label: str = "",
    watch: Callable[[], Any] | None = None,
) -> dict[str, Any]:
    r"""Trains ``model``, leaving it with the weights of its lowest validation loss.

    The test loader is read once, after training. The model is tested with the weights
    that either rule of ``RULES`` has chosen; ``by_accuracy`` holds what the second
    rule would have given. Training ends after ``training.patience`` epochs without
    progress, or as soon as the validation loss is not finite.

    Args:
        model (torch.nn.Module): Maps inputs to logits of shape :math:`[B, C]`.
        loaders (Loaders): Training, validation and test batches.
        loss (Callable): Maps logits and target to the mean loss of the batch.
        training (Training): Limits and optimiser.
        label (str): Text before the progress bar.
        watch (Callable, optional): Called before the first and after every epoch;
            what it returns is recorded.

    Returns:
        dict: A record of JSON values: scores, the epoch kept, the history of all
        epochs, the number of parameters and how many of them are the readout's
        (``model.readout``, if there is one), the median time of a training epoch.
    """
    best, history, watched = _train(model, loaders, loss, training, label, watch)
    test = list(loaders.test)
    return {
        "by_accuracy": _tested(model, best["accuracy"], test, loss),
        **_tested(model, best["loss"], test, loss),
        **_summary(model, history),
        "watched": watched,
    }


def _train(
    model: Module,
    loaders: Loaders,
    loss: Loss,
    training: Training,
    label: str,
    watch: Callable[[], Any] | None,
) -> tuple[dict[str, _Checkpoint], list[dict[str, float]], list[Any]]:
    """Train to the end; the best epoch by each rule, and what was seen on the way."""
    rate, decay = training.learning_rate, training.weight_decay
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=decay)
    start = _Checkpoint.take(0, evaluate(model, loaders.val, loss), model)
    best = dict.fromkeys(RULES, start)
    history: list[dict[str, float]] = []
    watched = [watch()] if watch else []
    progress = tqdm(
        total=training.epochs, desc=label, unit="epoch", leave=False, disable=None
    )
    with progress as bar:
        while len(history) < training.epochs:
            started = time.perf_counter()
            train_loss = train_epoch(model, loaders.train, loss, optimizer)
            seconds = time.perf_counter() - started
            val = evaluate(model, loaders.val, loss)
            history.append(_epoch(train_loss, val, seconds))
            if watch:
                watched.append(watch())
            _keep(best, len(history), val, model)
            bar.set_postfix(val_loss=f"{val.loss:.3f}", refresh=False)
            bar.update()
            stalled = len(history) - best["loss"].epoch >= training.patience
            if stalled or not math.isfinite(val.loss):
                break
    return best, history, watched


def _keep(best: dict[str, _Checkpoint], epoch: int, val: Score, model: Module) -> None:
    if not math.isfinite(val.loss):
        return
    better = [
        name
        for name, rank in RULES.items()
        if rank(val) > rank(best[name].score)
        or not math.isfinite(best[name].score.loss)
    ]
    if better:
        best.update(dict.fromkeys(better, _Checkpoint.take(epoch, val, model)))


def _tested(
    model: Module, checkpoint: _Checkpoint, batches: Batches, loss: Loss
) -> dict[str, Any]:
    model.load_state_dict(checkpoint.state)
    logits, target = predict(model, batches)
    test = _score(logits, target, loss)
    return {
        "test_accuracy": test.accuracy,
        "test_auc": auc(logits, target),
        "test_loss": test.loss,
        "val_accuracy": checkpoint.score.accuracy,
        "val_loss": checkpoint.score.loss,
        "best_epoch": checkpoint.epoch,
    }


def _epoch(train_loss: float, val: Score, seconds: float) -> dict[str, float]:
    return {
        "train_loss": train_loss,
        "val_loss": val.loss,
        "val_accuracy": val.accuracy,
        "seconds": seconds,
    }


def _summary(model: Module, history: list[dict[str, float]]) -> dict[str, Any]:
    return {
        "diverged": not math.isfinite(history[-1]["val_loss"]),
        "parameters": _count(model),
        "readout_parameters": _count(getattr(model, "readout", None)),
        "seconds_per_epoch": median(epoch["seconds"] for epoch in history),
        "seconds": sum(epoch["seconds"] for epoch in history),
        "history": history,
    }


def _count(model: Module | None) -> int:
    parameters = () if model is None else model.parameters()
    return sum(value.numel() for value in parameters if value.requires_grad)
