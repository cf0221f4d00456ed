import pytest
import torch

from benchmarks.absent import Absent
from benchmarks.multi_instance import DigitBags, digit_task, lenet, tasks


def test_lists_every_set_without_reading_any(tmp_path):
    names = [task.name for task in tasks(tmp_path)]
    assert len(set(names)) == len(names)
    assert {"musk1", "musk2", "elephant", "dr_asu", "digit bags"} <= set(names)
    assert sum(name.startswith("newsgroups") for name in names) == 3
    assert sum(name.startswith("MNIST-bags") for name in names) == 6


def test_takes_the_bags_a_user_puts_there(tmp_path):
    (tmp_path / "mil").mkdir()
    (tmp_path / "mil" / "mine.csv").write_text("1,0,2.5\n0,1,3.5\n")
    (mine,) = [task for task in tasks(tmp_path) if task.name == "mine"]
    assert len(mine.data(0)) == 2


def test_says_what_is_missing(tmp_path):
    for task in tasks(tmp_path):
        if task.name in ("musk1", "dr_asu", "MNIST-bags 10 x 50"):
            with pytest.raises(Absent, match="there is no"):
                task.data(0)


def test_digit_bags_come_in_three_parts():
    bags = DigitBags(50, (10, 2))
    task = digit_task(bags)
    examples = task.data(3)
    parts = task.split(examples.y, 0, 3)
    assert [len(part) for part in parts] == [50, 50, 1000]
    assert torch.equal(bags.data(3).y, examples.y)
    assert not torch.equal(bags.data(4).y, examples.y)


def test_test_bags_are_of_other_digits():
    examples = DigitBags(50, (10, 2)).data(0)
    seen = {tuple(row) for row in examples.instances(torch.arange(100))[0].tolist()}
    tested = examples.instances(torch.arange(100, 1100))[0].tolist()
    assert not any(tuple(row) in seen for row in tested)


def test_the_encoder_reads_bytes():
    images = torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8)
    assert lenet(16)(images).shape == (3, 16)


def test_reads_mnist(shared_data):
    (task,) = [t for t in tasks(shared_data) if t.name == "MNIST-bags 10 x 50"]
    examples = task.data(0)
    assert examples.x.shape[1:] == (1, 28, 28)
    assert len(examples) == 1100
