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
def evaluate(model: Module, batches: Batches, loss: Loss) -> Score:
    r"""Scores ``model``, in evaluation mode, on every example of ``batches``."""
    model.eval()
    total, right, count = 0.0, 0, 0
    for inputs, target in batches:
        logits = model(inputs)
        total += float(loss(logits, target)) * len(target)
        right += int((logits.argmax(dim=-1) == target).sum())
        count += len(target)
    return Score(total / count, right / count)


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

    The test loader is read once, after those weights are back in place. Training
    ends after ``training.patience`` epochs without progress, or as soon as the
    validation loss is not finite.

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
        epochs, the number of parameters, the median time of a training epoch.
    """
    optimizer = torch.optim.Adam(
        model.parameters(),
        lr=training.learning_rate,
        weight_decay=training.weight_decay,
    )
    best = _Checkpoint.take(0, evaluate(model, loaders.val, loss), model)
    history: list[dict[str, float]] = []
    watched = [watch()] if watch else []
    with tqdm(
        total=training.epochs, desc=label, unit="epoch", leave=False, disable=None
    ) as bar:
        while len(history) < training.epochs:
            started = time.perf_counter()
            train_loss = train_epoch(model, loaders.train, loss, optimizer)
            seconds = time.perf_counter() - started
            val = evaluate(model, loaders.val, loss)
            history.append(_epoch(train_loss, val, seconds))
            if watch:
                watched.append(watch())
            if val.loss < best.score.loss:
                best = _Checkpoint.take(len(history), val, model)
            bar.set_postfix(val_loss=f"{val.loss:.3f}", refresh=False)
            bar.update()
            stalled = len(history) - best.epoch >= training.patience
            if stalled or not math.isfinite(val.loss):
                break
    model.load_state_dict(best.state)
    test = evaluate(model, loaders.test, loss)
    return {**_summary(model, best, test, history), "watched": watched}


def _epoch(train_loss: float, val: Score, seconds: float) -> dict[str, float]:
    return {
        "train_loss": train_loss,
        "val_loss": val.loss,
        "val_accuracy": val.accuracy,
        "seconds": seconds,
    }


def _summary(
    model: Module, best: _Checkpoint, test: Score, history: list[dict[str, float]]
) -> dict[str, Any]:
    return {
        "test_accuracy": test.accuracy,
        "test_loss": test.loss,
        "val_accuracy": best.score.accuracy,
        "val_loss": best.score.loss,
        "best_epoch": best.epoch,
        "diverged": not math.isfinite(history[-1]["val_loss"]),
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "seconds_per_epoch": median(epoch["seconds"] for epoch in history),
        "history": history,
    }
