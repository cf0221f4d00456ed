from functools import partial

import pytest
import torch

from benchmarks.splits import consecutive_split, fold_split, given_split, hold_out

Y = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)[torch.randperm(100)]
PUBLISHED = partial(given_split, num_train=80)


def parts(split):
    return [set(part.tolist()) for part in split]


def test_hold_out_keeps_the_proportions():
    ids = torch.arange(100)
    rest, part = hold_out(ids, Y, 0.2, seed=0)
    assert sorted(torch.cat([rest, part]).tolist()) == ids.tolist()
    assert Y[part].bincount().tolist() == [12, 6, 2]


@pytest.mark.parametrize(("fold", "seed"), [(0, 0), (7, 0), (3, 1)])
def test_folds_are_partitions(fold, seed):
    split = fold_split(Y, fold, seed)
    train, val, test = parts(split)
    assert train | val | test == set(range(100))
    assert len(train) + len(val) + len(test) == 100
    assert len(val) == len(test) == 10
    assert Y[split.test].bincount().tolist() == [6, 3, 1]


@pytest.mark.parametrize("num_folds", [5, 10])
def test_the_folds_of_a_seed_test_everything_once(num_folds):
    tests = [fold_split(Y, fold, 0, num_folds).test for fold in range(num_folds)]
    assert sorted(torch.cat(tests).tolist()) == list(range(100))


def test_given_split_never_touches_the_test_part():
    train, val, test = parts(PUBLISHED(Y, 0, 0))
    assert test == set(range(80, 100))
    assert train | val == set(range(80))
    assert not train & val
    assert len(val) == 12


@pytest.mark.parametrize("split", [fold_split, PUBLISHED])
def test_seed_decides(split):
    assert parts(split(Y, 0, 3)) == parts(split(Y, 0, 3))
    assert parts(split(Y, 0, 3)) != parts(split(Y, 0, 4))


def test_generated_examples_come_in_order():
    split = consecutive_split(Y, 0, 0, num_train=60, num_val=30)
    assert [len(part) for part in split] == [60, 30, 10]
    assert torch.equal(torch.cat(split), torch.arange(100))
