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


def fold_split(y: Tensor, seed: int) -> Split:
    r"""Fold ``seed`` of a stratified ten-fold cross-validation, repeated for ever.

    Seeds 0 to 9 test every example once, the next ten repeat that on other folds.
    As many examples as are tested are held out of the others to validate.
    """
    repetition, fold = divmod(seed, NUM_FOLDS)
    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=repetition)
    rest, test = list(folds.split(y.numpy(), y.numpy()))[fold]
    train, val = hold_out(torch.from_numpy(rest), y, 1 / (NUM_FOLDS - 1), seed)
    return Split(train, val, torch.from_numpy(test))


def given_split(y: Tensor, num_train: int, seed: int, fraction: float = 0.15) -> Split:
    r"""A published split: the first ``num_train`` examples train, the others test.

    A stratified ``fraction`` of the training examples validates.
    """
    train, val = hold_out(torch.arange(num_train), y, fraction, seed)
    return Split(train, val, torch.arange(num_train, len(y)))
