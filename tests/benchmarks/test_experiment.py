from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmarks.graph_data import GraphBatches
from benchmarks.graph_experiment import Experiment, Shape
from benchmarks.harness import Training, evaluate


@pytest.fixture
def experiment(dataset, tmp_path) -> Experiment:
    shape = Shape(hidden=8, num_layers=2, batch_size=10)
    return Experiment(dataset, Training(8, learning_rate=0.01), shape, tmp_path)


def timeless(record):
    epochs = [{**epoch, "seconds": None} for epoch in record["history"]]
    return {**record, "history": epochs, "seconds_per_epoch": None}


@pytest.mark.parametrize("readout", ["mean", "uotp", "uotp-badmm"])
def test_a_run_is_determined_by_its_key(experiment, readout):
    key = experiment.key(readout, 1)
    first = timeless(experiment.run(key))
    torch.rand(7)
    assert timeless(experiment.run(key)) == first
    assert timeless(experiment.run(experiment.key(readout, 2))) != first


def test_learns_an_easy_set(experiment):
    record = experiment.run(experiment.key("uotp", 0))
    assert record["test_accuracy"] > record["majority_accuracy"] == 0.5


def test_the_trained_model_comes_back(experiment):
    key = experiment.key("uotp", 0)
    record = experiment.run(key)
    model = experiment.trained(key)
    assert not model.training
    test = GraphBatches(experiment.dataset.graphs, experiment.dataset.split(0).test, 10)
    score = evaluate(model, test, cross_entropy)
    assert score == (record["test_loss"], record["test_accuracy"])
    kept = {
        name: value.tolist() for name, value in model.readout.coefficients().items()
    }
    assert kept == record["watched"][record["best_epoch"]]


def test_weights_of_another_model_are_refused(experiment):
    experiment.run(experiment.key("mean", 0))
    other = experiment.key("attention", 0)
    experiment.weights(experiment.key("mean", 0)).rename(experiment.weights(other))
    with pytest.raises(ValueError, match="of another version; run again with --fresh"):
        experiment.trained(other)


def test_coefficients_are_watched_where_there_are_some(experiment):
    watched = experiment.run(experiment.key("uotp", 0))["watched"]
    assert set(watched[0]) >= {"alpha0", "alpha1", "alpha2"}
    assert watched[0] != watched[-1]
    assert experiment.run(experiment.key("mean", 0))["watched"] == []


def test_keys_follow_the_settings(experiment):
    key = experiment.key("mean", 3)
    assert key[:3] == ("signs", "mean", 3)
    assert experiment.key("max", 0).configuration == key.configuration
    for other in (
        replace(experiment, training=Training(9)),
        replace(experiment, shape=replace(experiment.shape, dropout=0.0)),
    ):
        assert other.key("mean", 3).configuration != key.configuration


@pytest.mark.parametrize(
    "sizes", [{"hidden": 0}, {"num_layers": 0}, {"batch_size": -1}, {"dropout": 1.0}]
)
def test_refuses_sizes(sizes):
    (name,) = sizes
    with pytest.raises(ValueError, match=f"'{name}' must be"):
        Shape(**sizes)
