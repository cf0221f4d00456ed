import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import Linear
from torch.nn.functional import cross_entropy

from benchmarks.harness import Loaders, Training, auc, evaluate, fit


class Counted:
    """Batches that know how often they were read."""

    def __init__(self, *batches: tuple[Tensor, Tensor]):
        self.batches = batches
        self.reads = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.reads += 1
        return iter(self.batches)


def blobs(size: int, flip: bool = False) -> tuple[Tensor, Tensor]:
    y = torch.arange(size) % 2
    x = torch.randn(size, 2) + 3 * (2 * y - 1).unsqueeze(1)
    return x, 1 - y if flip else y


@pytest.fixture
def loaders() -> Loaders:
    return Loaders(
        Counted(blobs(40), blobs(30)), Counted(blobs(20)), Counted(blobs(50))
    )


def test_learns_and_reports(loaders):
    record = fit(Linear(2, 2), loaders, cross_entropy, Training(30, learning_rate=0.1))
    assert record["test_accuracy"] > 0.95
    assert record["parameters"] == 6
    assert record["seconds_per_epoch"] > 0
    assert not record["diverged"]
    losses = [epoch["train_loss"] for epoch in record["history"]]
    assert len(losses) == 30
    assert losses[-1] < losses[0] / 2


def test_test_set_is_read_once(loaders):
    record = fit(Linear(2, 2), loaders, cross_entropy, Training(7))
    assert loaders.test.reads == 1
    assert loaders.train.reads == 7
    assert loaders.val.reads == 8
    assert len(record["history"]) == 7


def test_keeps_the_weights_of_the_lowest_validation_loss():
    # Fitting six noisy examples too fast: the validation loss falls, then rises.
    train = torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1])
    val = torch.randn(30, 4), torch.arange(30) % 2
    model = Linear(4, 2)
    loaders = Loaders([train], [val], [val])
    record = fit(model, loaders, cross_entropy, Training(60, 60, learning_rate=0.3))
    losses = [epoch["val_loss"] for epoch in record["history"]]
    assert losses[-1] > min(losses)
    assert record["val_loss"] <= min(losses)
    assert evaluate(model, [val], cross_entropy).loss == record["val_loss"]


def test_a_second_rule_keeps_the_highest_validation_accuracy():
    train = torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1])
    val = torch.randn(30, 4), torch.arange(30) % 2
    loaders = Loaders([train], [val], [val])
    record = fit(Linear(4, 2), loaders, cross_entropy, Training(60, 60, 0.3))
    second = record["by_accuracy"]
    reached = [epoch["val_accuracy"] for epoch in record["history"]]
    # Tested on the validation batch, so the two can be compared.
    assert second["test_accuracy"] == second["val_accuracy"] >= max(reached)
    assert record["test_loss"] == record["val_loss"] <= second["val_loss"]
    best = reached.index(max(reached)) + 1
    assert second["best_epoch"] in (0, *range(best, 61))


def test_auc_counts_ordered_pairs():
    margins = torch.tensor([0.1, 0.4, 0.35, 0.8])
    logits = torch.stack([torch.zeros(4), margins], dim=1)
    assert auc(logits, torch.tensor([0, 0, 1, 1])) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("logits", "target"),
    [
        (torch.zeros(3, 3), torch.tensor([0, 1, 2])),
        (torch.zeros(3, 2), torch.tensor([1, 1, 1])),
        (torch.full((2, 2), math.nan), torch.tensor([0, 1])),
    ],
)
def test_auc_is_none_where_it_means_nothing(logits, target):
    assert auc(logits, target) is None


def test_counts_the_parameters_of_the_readout():
    model = torch.nn.Sequential()
    model.add_module("readout", Linear(2, 3))
    model.add_module("head", Linear(3, 2))
    loaders = Loaders([blobs(4)], [blobs(4)], [blobs(4)])
    record = fit(model, loaders, cross_entropy, Training(1))
    assert record["readout_parameters"] == 9
    assert record["parameters"] == 17


def test_stops_when_validation_does_not_improve():
    model = Linear(2, 2)
    start = {
        name: torch.zeros_like(value) for name, value in model.state_dict().items()
    }
    model.load_state_dict(start)
    loaders = Loaders([blobs(40)], [blobs(40, flip=True)], [blobs(10)])
    record = fit(model, loaders, cross_entropy, Training(100, patience=4))
    assert record["best_epoch"] == 0
    assert len(record["history"]) == 4
    assert record["val_loss"] == pytest.approx(math.log(2))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, start[name], rtol=0, atol=0)


def test_stops_when_the_loss_is_not_finite():
    x, y = blobs(10)
    loaders = Loaders([(x, y)], [(x * math.nan, y)], [(x, y)])
    record = fit(Linear(2, 2), loaders, cross_entropy, Training(50))
    assert record["diverged"]
    assert len(record["history"]) == 1


def test_an_epoch_without_a_loss_is_never_kept():
    """However many examples it gets right."""
    x, y = blobs(10)
    losses = iter([0.7, 0.5, 0.6, math.nan])
    model = Linear(2, 2)

    def loss(logits, target):
        value = cross_entropy(logits, target)
        return value if model.training else value * 0 + next(losses, 0.5)

    record = fit(model, Loaders([(x, y)], [(x, y)], [(x, y)]), loss, Training(9, 9))
    assert record["diverged"]
    assert record["best_epoch"] == 1
    assert record["by_accuracy"]["best_epoch"] < 3


def test_any_epoch_is_better_than_a_start_without_a_loss():
    x, y = blobs(10)
    losses = iter([math.nan, 0.5, 0.6])
    model = Linear(2, 2)

    def loss(logits, target):
        value = cross_entropy(logits, target)
        return value if model.training else value * 0 + next(losses, 0.7)

    record = fit(model, Loaders([(x, y)], [(x, y)], [(x, y)]), loss, Training(2))
    assert record["best_epoch"] == 1


def test_watches_before_the_first_and_after_every_epoch(loaders):
    model = Linear(2, 2)
    record = fit(
        model,
        loaders,
        cross_entropy,
        Training(3),
        watch=lambda: model.bias.detach().tolist(),
    )
    assert len(record["watched"]) == 4
    assert record["watched"][0] != record["watched"][1]


def test_scores_are_means_over_examples_whatever_the_batches():
    model = Linear(2, 2)
    x, y = blobs(9)
    one = evaluate(model, [(x, y)], cross_entropy)
    parts = evaluate(model, [(x[:1], y[:1]), (x[1:], y[1:])], cross_entropy)
    assert parts.loss == pytest.approx(one.loss, rel=1e-6)
    assert parts.accuracy == one.accuracy


def test_evaluation_leaves_dropout_out():
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), Linear(2, 2))
    batches = [blobs(100)]
    first = evaluate(model, batches, cross_entropy)
    assert first == evaluate(model, batches, cross_entropy)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, r"at least 1 \(got 0 and 30\)"),
        ({"patience": 0}, "at least 1"),
        ({"learning_rate": 0.0}, "'learning_rate' must be positive"),
        ({"learning_rate": math.nan}, "'learning_rate' must be positive"),
        ({"weight_decay": -1.0}, "'weight_decay' not negative"),
    ],
)
def test_refuses_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Training(**settings)
