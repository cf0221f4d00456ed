r"""Readers of multi-instance data: text, MATLAB, and what is made of digits."""

import gzip
import hashlib
import lzma
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat
from sklearn.datasets import load_digits
from torch import Tensor

from benchmarks.absent import Absent
from benchmarks.examples import offsets
from benchmarks.known import SHA256, check
from benchmarks.number_table import read_numbers
from benchmarks.sets import SetExamples

UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
}
TARGET = 9


def read_csv(path: Path) -> SetExamples:
    r"""Bags of a text file without a header: a line an instance.

    Each holds the bag's class (0 or 1), the bag's number and the features. The lines
    of a bag need not be together; bags come in the order of their numbers.

    Raises:
        Absent: If the file is not there.
        ValueError: If it is not of that form.
    """
    needed = "a line for each instance: class, number of the bag, features"
    table = read_numbers(_existing(path), needed)
    if table.shape[1] < 3:
        raise ValueError(
            f"'{path}' must have columns class, bag and features (got "
            f"{table.shape[1]} columns)"
        )
    order = np.argsort(table[:, 1], kind="stable")
    _, start, counts = np.unique(table[order, 1], return_index=True, return_counts=True)
    labels = table[order, 0]
    if not np.array_equal(np.repeat(labels[start], counts), labels):
        raise ValueError(f"'{path}' has bags whose instances differ in class")
    return _standardised(path, table[order, 2:], counts, labels[start])


def read_mat(path: Path) -> SetExamples:
    r"""Bags of a MATLAB file with ``bag``, ``labels``, ``testBags``, ``testlabels``.

    ``bag`` and ``testBags`` are cells of matrices with an instance a COLUMN; the
    second pair can be missing. All bags are returned, the test bags last.

    Raises:
        Absent: If the file is not there.
        ValueError: If it has no such variables, or other numbers of bags and labels.
    """
    with reading(_existing(path)):
        content = loadmat(path)
    if not {"bag", "labels"} <= content.keys():
        raise ValueError(f"'{path}' must hold 'bag' and 'labels'")
    bags: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for of_bags, of_labels in (("bag", "labels"), ("testBags", "testlabels")):
        cell, given = (
            content.get(name, np.array([])).ravel() for name in (of_bags, of_labels)
        )
        if len(cell) != len(given):
            raise ValueError(
                f"'{path}' must have as many '{of_labels}' as '{of_bags}' (got "
                f"{len(given)} and {len(cell)})"
            )
        bags, labels = [*bags, *cell], [*labels, *given]
    if len({bag.shape[0] for bag in bags}) != 1:
        raise ValueError(f"'{path}' must have bags of one number of features")
    if any(np.size(label) != 1 for label in labels):
        raise ValueError(f"'{path}' must have one label of each bag")
    counts = np.array([bag.shape[1] for bag in bags])
    instances = np.concatenate([bag.T for bag in bags])
    return _standardised(
        path, instances, counts, np.concatenate([*map(np.ravel, labels)])
    )


def read_folder(folder: Path) -> dict[str, Path]:
    r"""The bag files of a folder, ``*.csv`` and ``*.mat``, by name.

    Raises:
        ValueError: If two have the same name but for their ending.
    """
    found: dict[str, Path] = {}
    for path in sorted([*folder.glob("*.csv"), *folder.glob("*.mat")]):
        other = found.setdefault(path.stem, path)
        if other != path:
            raise ValueError(
                f"'{other}' and '{path}' would be one data set: rename one of them"
            )
    return found


def read(path: Path) -> SetExamples:
    r"""Bags of a ``.csv`` or ``.mat`` file.

    Raises:
        Absent: If the file is not there.
        ValueError: If it is not of the form its name says, or if it has the name of a
            published set and holds other bags.
    """
    bags = read_mat(path) if path.suffix == ".mat" else read_csv(path)
    check(path.stem, path, bags.facts())
    return bags


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise Absent(
            f"there is no '{path}' (docs/evaluation.md says where it comes from)"
        )
    return path


@contextmanager
def reading(path: Path) -> Iterator[None]:
    r"""Names the file where a format's reader fails, by whatever it raises."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"'{path}' cannot be read ({error})") from error


def _standardised(
    path: Path, x: np.ndarray, counts: np.ndarray, y: np.ndarray
) -> SetExamples:
    if not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"'{path}' must have bags of class 0 or 1 (got {np.unique(y)[:5]})"
        )
    if not (np.abs(x.astype(np.float64)) <= np.finfo(np.float32).max).all():
        raise ValueError(f"'{path}' has features that are no finite numbers")
    return SetExamples.from_counts(
        torch.from_numpy(x.astype(np.float32)),
        torch.from_numpy(counts.astype(np.int64)),
        torch.from_numpy(y.astype(np.int64)),
        standardise=True,
    )


def read_idx(path: Path) -> Tensor:
    r"""A tensor of unsigned bytes in the IDX form of MNIST.

    Args:
        path (Path): The file, which may be packed: as ``path``.gz or ``path``.xz.

    Raises:
        Absent: If the file is not there.
        ValueError: If it is not of that form, or if it has the name of a file of MNIST
            and other content.
    """
    forms = {path.with_name(path.name + end): UNPACK[end] for end in UNPACK}
    present = next((form for form in forms if form.is_file()), path)
    with reading(_existing(present)):
        raw = forms[present](present.read_bytes())
    if raw[:3] != b"\0\0\x08":
        raise ValueError(f"'{present}' is not an IDX file of unsigned bytes")
    with reading(present):
        shape = np.frombuffer(raw, ">i4", raw[3], 4)
        pixels = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)
    check(path.name, present, {SHA256: hashlib.sha256(raw).hexdigest()})
    return torch.from_numpy(pixels.copy())


def draw_bags(
    x: Tensor,
    digits: Tensor,
    num_bags: int,
    size: tuple[float, float],
    rng: np.random.Generator,
) -> SetExamples:
    r"""MNIST-bags after `"Attention-based Deep Multiple Instance Learning"
    <https://arxiv.org/abs/1802.04712>`_: does a bag hold a 9?

    Half of the bags do, on average. A positive bag is drawn until it holds one, a
    negative one until it holds none.

    Args:
        x (torch.Tensor): The digits' images or features.
        digits (torch.Tensor): What they are, int64.
        num_bags (int): Bags to draw.
        size (tuple): Mean and standard deviation of the number of instances, which
            is rounded, and at least 1.
        rng (numpy.random.Generator): Draws.
    """
    labels = rng.integers(0, 2, num_bags)
    counts = np.maximum(1, rng.normal(*size, num_bags).round()).astype(np.int64)
    is_target = (digits == TARGET).numpy()
    others = np.flatnonzero(~is_target)
    rows = [
        _with_target(is_target, count, rng) if label else rng.choice(others, count)
        for label, count in zip(labels, counts, strict=True)
    ]
    return SetExamples(
        x,
        offsets(torch.from_numpy(counts)),
        torch.from_numpy(labels),
        rows=torch.from_numpy(np.concatenate(rows)),
    )


def _with_target(
    is_target: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    while True:
        rows = rng.integers(0, len(is_target), count)
        if is_target[rows].any():
            return rows


def joined(parts: list[SetExamples]) -> SetExamples:
    r"""Several collections as one, in their order, each with its own instances."""
    instances = [part.x if part.rows is None else part.x[part.rows] for part in parts]
    return SetExamples.from_counts(
        torch.cat(instances),
        torch.cat([part.ptr.diff() for part in parts]),
        torch.cat([part.y for part in parts]),
        parts[0].standardise,
    )


def small_digits() -> tuple[Tensor, Tensor]:
    r"""scikit-learn's 1,797 digits: pixels from 0 to 1, [N, 64], and what they are."""
    pixels, digits = load_digits(return_X_y=True)
    return torch.from_numpy(pixels).float() / 16, torch.from_numpy(digits)
