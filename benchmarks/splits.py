r"""Seeded, stratified partitions into training, validation and test examples."""

from typing import NamedTuple

import torch
from sklearn.model_selection import StratifiedKFold, train_test_split
from torch import Tensor

NUM_FOLDS = 10


class Split(NamedTuple):
    r"""Positions of the training, validation and test examples, int64."""

    train: Tensor
    val: Tensor
    test: Tensor


def hold_out(
    ids: Tensor, y: Tensor, fraction: float, seed: int
) -> tuple[Tensor, Tensor]:
    r"""Parts ``ids`` into the rest and a stratified ``fraction`` of them.

    Args:
        ids (torch.Tensor): Positions in ``y``, int64.
        y (torch.Tensor): Classes of all examples, int64.
        fraction (float): Of ``ids``, between 0 and 1.
        seed (int): Of the draw.
    """
    rest, part = train_test_split(
        ids.numpy(), test_size=fraction, stratify=y[ids].numpy(), random_state=seed
    )
    return torch.from_numpy(rest), torch.from_numpy(part)


def fold_split(y: Tensor, fold: int, seed: int, num_folds: int = NUM_FOLDS) -> Split:
    r"""One fold of a stratified cross-validation; the seed decides on the folds.

    As many examples as are tested are held out of the others to validate.
    """
    folds = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    rest, test = list(folds.split(y.numpy(), y.numpy()))[fold]
    draw = num_folds * seed + fold
    train, val = hold_out(torch.from_numpy(rest), y, 1 / (num_folds - 1), draw)
    return Split(train, val, torch.from_numpy(test))


def given_split(
    y: Tensor, fold: int, seed: int, *, num_train: int, fraction: float = 0.15
) -> Split:
    r"""A published split: the first ``num_train`` examples train, the others test.

    A stratified ``fraction`` of the training examples validates, drawn by the seed.
    There is one fold, number 0.
    """
    train, val = hold_out(torch.arange(num_train), y, fraction, seed)
    return Split(train, val, torch.arange(num_train, len(y)))


def consecutive_split(
    y: Tensor, fold: int, seed: int, *, num_train: int, num_val: int
) -> Split:
    r"""Examples made to order: those to train with, then validation, then test."""
    ids = torch.arange(len(y))
    return Split(*ids.tensor_split([num_train, num_train + num_val]))
