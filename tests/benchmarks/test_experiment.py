import errno
import os
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmarks.examples import Batches
from benchmarks.experiment import Experiment, concise
from benchmarks.graph_model import GraphClassifier
from benchmarks.harness import Training, evaluate
from benchmarks.task import Task


@pytest.fixture
def experiment(dataset, tmp_path) -> Experiment:
    task = Task(
        application="graphs",
        name=dataset.name,
        data=lambda seed: dataset.graphs,
        split=dataset.split,
        model=lambda graphs, readout: GraphClassifier(3, 2, readout, 8, 2),
        training=Training(8, learning_rate=0.01),
        batch_size=10,
        num_folds=10,
    )
    return Experiment(task, models=tmp_path / "models")


def timeless(record):
    epochs = [{**epoch, "seconds": None} for epoch in record["history"]]
    return {**record, "history": epochs, "seconds_per_epoch": None, "seconds": None}


@pytest.mark.parametrize("readout", ["mean", "uotp", "uotp-badmm"])
def test_a_run_is_determined_by_its_key(experiment, readout):
    key = experiment.key(readout, 1, 0)
    first = timeless(experiment.run(key))
    torch.rand(7)
    assert timeless(experiment.run(key)) == first
    assert timeless(experiment.run(experiment.key(readout, 2, 0))) != first


def test_learns_an_easy_set(experiment):
    record = experiment.run(experiment.key("uotp", 0, 0))
    assert record["test_accuracy"] > record["majority_accuracy"] == 0.5
    assert record["test_auc"] > 0.5


def test_the_trained_model_comes_back(experiment):
    key = experiment.key("uotp", 0, 0)
    record = experiment.run(key)
    model = experiment.trained(key)
    assert not model.training
    graphs = experiment.task.data(0)
    test = Batches(graphs, experiment.task.split(graphs.y, 0, 0).test, 10)
    score = evaluate(model, test, cross_entropy)
    assert score == (record["test_loss"], record["test_accuracy"])
    kept = {
        name: value.tolist() for name, value in model.readout.coefficients().items()
    }
    assert kept == record["watched"][record["best_epoch"]]


def test_weights_of_another_model_are_refused(experiment):
    experiment.run(experiment.key("mean", 0, 0))
    other = experiment.key("attention", 0, 0)
    experiment.weights(experiment.key("mean", 0, 0)).rename(experiment.weights(other))
    with pytest.raises(ValueError, match="of another version; run again with --fresh"):
        experiment.trained(other)


def test_coefficients_are_watched_where_there_are_some(experiment):
    watched = experiment.run(experiment.key("uotp", 0, 0))["watched"]
    assert set(watched[0]) >= {"alpha0", "alpha1", "alpha2"}
    assert watched[0] != watched[-1]
    assert experiment.run(experiment.key("mean", 0, 0))["watched"] == []


def test_a_concise_record_keeps_the_coefficients_of_its_epoch(experiment):
    record = experiment.run(experiment.key("uotp", 0, 0))
    short = concise(record)
    assert not {"history", "watched"} & short.keys()
    kept = record["watched"][record["best_epoch"]]
    assert short["coefficients"]["t"] == [[pytest.approx(kept["t"][0][0], rel=1e-5)]]
    assert short["test_accuracy"] == pytest.approx(record["test_accuracy"], rel=1e-5)


def test_keys_follow_the_settings(experiment):
    key = experiment.key("mean", 3, 1)
    assert key[:5] == ("graphs", "signs", "mean", 3, 1)
    assert experiment.key("max", 0, 0).configuration == key.configuration
    for changes in (
        {"training": Training(9)},
        {"batch_size": 11},
        {"settings": {"hidden": 16}},
    ):
        other = Experiment(replace(experiment.task, **changes))
        assert other.key("mean", 3, 1).configuration != key.configuration


def test_weights_that_are_damaged_are_named(experiment):
    key = experiment.key("mean", 0, 0)
    experiment.run(key)
    path = experiment.weights(key)
    whole = path.read_bytes()
    for part in (b"", whole[:-1], whole[: len(whole) // 2], b"no weights"):
        path.write_bytes(part)
        with pytest.raises(ValueError, match=rf"{path.name}' is damaged: remove it"):
            experiment.trained(key)


def test_weights_are_written_whole_or_not_at_all(experiment, monkeypatch):
    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    key = experiment.key("mean", 0, 0)
    with pytest.raises(OSError, match=r"No space left on device: '.*\.pt'"):
        experiment.run(key)
    assert [*experiment.models.iterdir()] == []
