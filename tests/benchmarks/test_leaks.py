"""No test example can influence a run, in any application."""

from dataclasses import replace

import pytest
import torch

from benchmarks.examples import Batches
from benchmarks.experiment import Experiment
from benchmarks.graph_tasks import Shape, Source
from benchmarks.graph_tasks import task as graph_task
from benchmarks.harness import Training, predict
from benchmarks.image_classification import ImageExamples
from benchmarks.image_classification import tasks as image_tasks
from benchmarks.landscape import POINTS
from benchmarks.landscape import task as landscape_task
from benchmarks.multi_instance import DigitBags, digit_task, file_task
from benchmarks.task import Task

BRIEF = Training(epochs=3, patience=2, learning_rate=0.01)


@pytest.fixture
def bag_file(tmp_path):
    generator = torch.Generator().manual_seed(0)
    lines = []
    for bag in range(40):
        for x in torch.randn(3, 4, generator=generator).add(bag % 2).tolist():
            lines.append(",".join(map(str, [bag % 2, bag, *x])))
    path = tmp_path / "bags.csv"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(params=["graphs", "bag file", "digit bags", "images", "landscape"])
def task(request, bag_file) -> Task:
    if request.param == "graphs":
        made = graph_task(Source("solubility"), BRIEF, Shape(hidden=8), 64)
    elif request.param == "bag file":
        made = file_task(bag_file)
    elif request.param == "digit bags":
        made = digit_task(DigitBags(50, (10, 2)))
    elif request.param == "images":
        images = image_tasks(None)[0].data(0)
        few = ImageExamples(images.x[:400], images.y[:400])
        made = replace(image_tasks(None)[0], data=lambda seed: few)
    else:
        made = landscape_task(replace(POINTS["witness 30%"], num_train=100))
    return replace(made, training=BRIEF)


def with_other_test_labels(task: Task) -> Task:
    """The same task, its test labels permuted and its splits as they were."""
    examples = task.data(0)
    test = task.split(examples.y, 0, 0).test
    generator = torch.Generator().manual_seed(1)
    y = examples.y.clone()
    y[test] = y[test[torch.randperm(len(test), generator=generator)]]
    assert not torch.equal(y, examples.y)
    return replace(
        task,
        data=lambda seed: replace(examples, y=y),
        split=lambda _, fold, seed: task.split(examples.y, fold, seed),
    )


def logits_on_everything(task: Task) -> torch.Tensor:
    experiment = Experiment(task)
    model, _ = experiment.train(experiment.key("uotp", 0, 0))
    examples = task.data(0)
    train = task.split(examples.y, 0, 0).train
    everything = Batches(examples.fitted(train), torch.arange(len(examples.y)), 64)
    return predict(model, everything)[0]


def test_test_labels_change_no_prediction(task):
    torch.testing.assert_close(
        logits_on_everything(with_other_test_labels(task)),
        logits_on_everything(task),
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize("part", ["val", "test"])
def test_normalisation_sees_training_bags_alone(bag_file, part):
    task = file_task(bag_file)
    examples = task.data(0)
    split = task.split(examples.y, 0, 0)
    kept = examples.fitted(split.train).instances(split.train)[0]
    x = examples.x.clone()
    for bag in getattr(split, part).tolist():
        x[examples.ptr[bag] : examples.ptr[bag + 1]] *= 1000
    altered = replace(examples, x=x).fitted(split.train).instances(split.train)[0]
    torch.testing.assert_close(altered, kept, rtol=0, atol=0)
    torch.testing.assert_close(kept.mean(0), torch.zeros(4), rtol=0, atol=1e-6)
