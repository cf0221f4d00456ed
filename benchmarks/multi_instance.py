r"""Multi-instance data sets, and the tasks of classifying their bags.

    python -m benchmarks.suite --application bags --root ../shared/data

Any ``.csv`` or ``.mat`` file of the folder ``mil`` under the root is a data set.
"""

import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential
from torch_geometric.nn import MLP

from benchmarks import known
from benchmarks.bags import draw_bags, joined, read, read_folder, read_idx, small_digits
from benchmarks.harness import Training
from benchmarks.readouts import Readout
from benchmarks.sets import SetClassifier, SetExamples
from benchmarks.splits import consecutive_split, fold_split
from benchmarks.task import Task

TRAINING = Training(epochs=60, patience=15, weight_decay=1e-4)
# Rate and decay are of Ilse et al. 2018, as is the batch of one bag.
MNIST_TRAINING = Training(
    epochs=100, patience=25, learning_rate=5e-4, weight_decay=1e-4
)
HIDDEN = 64
KNOWN = (
    "musk1",
    "musk2",
    "elephant",
    "newsgroups_alt_atheism",
    "newsgroups_comp_graphics",
    "newsgroups_rec_motorcycles",
    "dr_asu",
)
NUM_TEST = 1000
SMALLEST_VALIDATION = 50
# Images to train with that are done in seconds.
SHORT = 500


@dataclass(frozen=True)
class BagFile:
    r"""A file of bags.

    Args:
        path (Path): A ``.csv`` or ``.mat`` file.
    """

    path: Path

    def data(self, seed: int) -> SetExamples:
        r"""Its bags, read once, whatever the seed."""
        return read_once(self.path)


@cache
def read_once(path: Path) -> SetExamples:
    r"""What :func:`benchmarks.bags.read` returns, the same whenever a process asks."""
    return read(path)


@dataclass(frozen=True)
class DigitBags:
    r"""Bags of digits, drawn by a seed: does a bag hold a 9?

    Training and validation bags are of the first five sixths of the digits, test
    bags of the rest (MNIST has its own test digits).

    Args:
        num_train (int): Bags to train with.
        size (tuple): Mean and standard deviation of their sizes.
        mnist (Path, optional): Folder of MNIST's files. (default: scikit-learn's
            digits of 8 x 8 pixels)
    """

    num_train: int
    size: tuple[float, float]
    mnist: Path | None = None

    @property
    def num_val(self) -> int:
        r"""Bags to validate with, drawn beside those to train with."""
        return max(SMALLEST_VALIDATION, self.num_train // 5)

    def data(self, seed: int) -> SetExamples:
        r"""The bags of a seed: training, validation, test."""
        return _drawn(self, seed)


@lru_cache(maxsize=2)
def _drawn(bags: DigitBags, seed: int) -> SetExamples:
    train, test = _mnist(bags.mnist) if bags.mnist else _embedded()
    rng = np.random.default_rng(seed)
    return joined(
        [
            draw_bags(*train, bags.num_train + bags.num_val, bags.size, rng),
            draw_bags(*test, NUM_TEST, bags.size, rng),
        ]
    )


Digits = tuple[torch.Tensor, torch.Tensor]


def _embedded() -> tuple[Digits, Digits]:
    x, digits = small_digits()
    border = len(x) * 5 // 6
    return (x[:border], digits[:border]), (x[border:], digits[border:])


@cache
def _mnist(folder: Path) -> tuple[Digits, Digits]:
    train, test = (
        (
            read_idx(folder / f"{part}-images-idx3-ubyte").unsqueeze(1),
            read_idx(folder / f"{part}-labels-idx1-ubyte").long(),
        )
        for part in ("train", "t10k")
    )
    return train, test


class Bytes(Module):
    r"""Pixels from 0 to 1, of bytes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        r"""The same pixels, float32."""
        return x.float() / 255


def lenet(hidden: int) -> Module:
    r"""The encoder of Ilse et al.: LeNet's convolutions, from 28 x 28 to ``hidden``."""
    return Sequential(
        Bytes(),
        *(Conv2d(1, 20, 5), ReLU(), MaxPool2d(2)),
        *(Conv2d(20, 50, 5), ReLU(), MaxPool2d(2)),
        *(Flatten(), Linear(50 * 4 * 4, hidden), ReLU()),
    )


def _vector_model(dropout: float, examples: SetExamples, readout: Readout) -> Module:
    encoder = MLP([examples.x.size(1), HIDDEN, HIDDEN], norm=None)
    return SetClassifier(encoder, HIDDEN, 2, readout, dropout)


def _image_model(examples: SetExamples, readout: Readout) -> Module:
    return SetClassifier(lenet(HIDDEN), HIDDEN, 2, readout)


def file_task(path: Path) -> Task:
    r"""Ten-fold cross-validation on the bags of a file, twice.

    The runs of a file depend on its content: other bags have other records. A published
    one has what it is known to have, or is refused when it is read.
    """
    settings: dict[str, Any] = {"hidden": HIDDEN, "dropout": 0.2}
    if path.stem not in known.KNOWN and path.is_file():
        settings["data"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return Task(
        application="bags",
        name=path.stem,
        data=BagFile(path).data,
        split=fold_split,
        model=partial(_vector_model, 0.2),
        training=TRAINING,
        batch_size=16,
        num_folds=10,
        runs=20,
        settings=settings,
    )


def digit_task(bags: DigitBags) -> Task:
    r"""Bags of digits; a seed draws all of them."""
    mean, deviation = bags.size
    embedded = bags.mnist is None
    long = not embedded and bags.num_train * mean > SHORT
    name = f"MNIST-bags {mean:g} x {bags.num_train}"
    return Task(
        application="bags",
        name="digit bags" if embedded else name,
        data=bags.data,
        split=partial(
            consecutive_split, num_train=bags.num_train, num_val=bags.num_val
        ),
        model=partial(_vector_model, 0.0) if embedded else _image_model,
        training=TRAINING if embedded else MNIST_TRAINING,
        batch_size=16 if embedded else 1,
        generated=True,
        runs=3 if long else 10,
        long=long,
        settings={"hidden": HIDDEN, "size": [mean, deviation]},
    )


def tasks(root: Path | None) -> list[Task]:
    r"""The bags of the suite: files under ``root/mil``, MNIST-bags, digit bags."""
    folder = Path("mil") if root is None else root / "mil"
    files = {name: folder / f"{name}.csv" for name in KNOWN}
    files["dr_asu"] = folder / "dr_asu.mat"
    mnist = Path("mnist") if root is None else root / "mnist"
    published = [
        *(DigitBags(number, (10, 2), mnist) for number in (50, 100, 200, 500)),
        *(DigitBags(50, size, mnist) for size in ((50, 10), (100, 20))),
    ]
    return [
        digit_task(DigitBags(500, (10, 2))),
        *(file_task(path) for path in (files | read_folder(folder)).values()),
        *(digit_task(bags) for bags in published),
    ]
