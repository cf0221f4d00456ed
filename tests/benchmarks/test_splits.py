import pytest
import torch

from benchmarks.splits import fold_split, given_split, hold_out

Y = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)[torch.randperm(100)]


def parts(split):
    return [set(part.tolist()) for part in split]


def test_hold_out_keeps_the_proportions():
    ids = torch.arange(100)
    rest, part = hold_out(ids, Y, 0.2, seed=0)
    assert sorted(torch.cat([rest, part]).tolist()) == ids.tolist()
    assert Y[part].bincount().tolist() == [12, 6, 2]


@pytest.mark.parametrize("seed", [0, 7, 13])
def test_folds_are_partitions(seed):
    train, val, test = parts(fold_split(Y, seed))
    assert train | val | test == set(range(100))
    assert len(train) + len(val) + len(test) == 100
    assert len(val) == len(test) == 10
    assert Y[fold_split(Y, seed).test].bincount().tolist() == [6, 3, 1]


def test_ten_folds_test_everything_once_and_the_next_ten_are_others():
    tested = torch.cat([fold_split(Y, seed).test for seed in range(10)])
    assert sorted(tested.tolist()) == list(range(100))
    assert parts(fold_split(Y, 0))[2] != parts(fold_split(Y, 10))[2]


def test_given_split_never_touches_the_test_part():
    train, val, test = parts(given_split(Y, num_train=80, seed=0))
    assert test == set(range(80, 100))
    assert train | val == set(range(80))
    assert not train & val
    assert len(val) == 12


@pytest.mark.parametrize("split", [fold_split, lambda y, s: given_split(y, 80, s)])
def test_seed_decides(split):
    assert parts(split(Y, 3)) == parts(split(Y, 3))
    assert parts(split(Y, 3)) != parts(split(Y, 4))
