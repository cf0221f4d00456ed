r"""Image data sets, and the tasks of classifying them with a readout as last pooling.

python -m benchmarks.suite --application images --root ../shared/data
"""

import lzma
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import BatchNorm2d, Conv2d, Linear, Module, ReLU, Sequential
from torch.nn.functional import pad, relu

from benchmarks.absent import Absent
from benchmarks.bags import reading, small_digits
from benchmarks.harness import Training
from benchmarks.known import CLASSES, Facts, check, classes
from benchmarks.readouts import Readout
from benchmarks.splits import fold_split, given_split
from benchmarks.task import Task

BYTES = 1 + 3 * 32 * 32
CIFAR_TRAIN, CIFAR_TEST = "cifar10_train_10000.bin.xz", "cifar10_test_2000.bin.xz"
NUM_TRAIN = 10_000
PADDING = 4


@dataclass(frozen=True)
class ImageExamples:
    r"""Labelled images of one size.

    Args:
        x (torch.Tensor): float32 of shape :math:`[G, C, H, W]`, or bytes.
        y (torch.Tensor): Classes, int64 of shape :math:`[G]`.
    """

    x: Tensor
    y: Tensor

    def to(self, device: str) -> "ImageExamples":
        r"""The same images on ``device``."""
        return ImageExamples(self.x.to(device), self.y.to(device))

    def select(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        r"""Some images, in the order asked for, and their classes."""
        return self.x[ids], self.y[ids]

    def facts(self) -> Facts:
        r"""What there is of each kind, for :mod:`benchmarks.known`."""
        return {"images": len(self.y), CLASSES: classes(self.y)}

    def fitted(self, train: Tensor) -> "ImageExamples":
        r"""Each colour to mean 0 and deviation 1 over the images at ``train``."""
        deviation, mean = torch.std_mean(
            self.x[train].float(), (0, 2, 3), correction=0, keepdim=True
        )
        return replace(self, x=(self.x.float() - mean) / deviation)


def shift_and_flip(x: Tensor, generator: torch.Generator) -> Tensor:
    r"""The standard augmentation: shifts by up to 4 pixels, and half are mirrored."""
    size, height, width = x.size(0), x.size(2), x.size(3)
    mirrored = torch.rand(size, generator=generator) < 0.5
    x = torch.where(mirrored.view(-1, 1, 1, 1).to(x.device), x.flip(3), x)
    padded = pad(x, (PADDING,) * 4)
    top, left = torch.randint(0, 2 * PADDING + 1, (2, size, 1), generator=generator)
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    places = torch.arange(size).view(-1, 1, 1)
    return padded[places, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(
        0, 3, 1, 2
    )


class Block(Module):
    r"""A residual block of `"Deep Residual Learning for Image Recognition"
    <https://arxiv.org/abs/1512.03385>`_, with a convolution as the shortcut.
    """

    def __init__(self, in_channels: int, channels: int, stride: int):
        super().__init__()
        self.body = Sequential(
            _convolution(in_channels, channels, 3, stride),
            ReLU(),
            _convolution(channels, channels, 3, 1),
        )
        self.shortcut = _convolution(in_channels, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        r"""Features, [B, C, H / stride, W / stride]."""
        return relu(self.body(x) + self.shortcut(x))


def _convolution(in_channels: int, channels: int, size: int, stride: int) -> Module:
    convolution = Conv2d(in_channels, channels, size, stride, size // 2, bias=False)
    return Sequential(convolution, BatchNorm2d(channels))


class ImageClassifier(Module):
    r"""A small ResNet with a readout over its last map, and a linear head.

    The readout is built last, so that at one seed all readouts start from the same
    backbone and (at equal width) head.

    Args:
        in_channels (int): Colours.
        widths (tuple): Channels of the stages; each but the first halves the map.
        num_classes (int): Classes.
        readout (Readout): How to build the readout.
    """

    def __init__(
        self,
        in_channels: int,
        widths: tuple[int, ...],
        num_classes: int,
        readout: Readout,
    ):
        super().__init__()
        stem = Sequential(_convolution(in_channels, widths[0], 3, 1), ReLU())
        pairs = zip((widths[0], *widths), widths, strict=False)
        blocks = [Block(a, b, 1 if a == b else 2) for a, b in pairs]
        self.backbone = Sequential(stem, *blocks)
        self.head = Linear(readout.expansion * widths[-1], num_classes)
        self.readout = readout.build(widths[-1])

    def forward(self, images: Tensor) -> Tensor:
        r"""Logits, :math:`[B, C]`."""
        maps = self.backbone(images)
        size, channels = maps.shape[:2]
        places = maps.flatten(2).transpose(1, 2)
        image = torch.arange(size, device=maps.device)
        pooled = self.readout(
            places.reshape(-1, channels),
            image.repeat_interleave(places.size(1)),
            dim_size=size,
        )
        logits: Tensor = self.head(pooled)
        return logits


@dataclass(frozen=True)
class Cifar10:
    r"""CIFAR-10 or a part of it, in its binary form.

    Args:
        folder (Path): With the two files, packed by xz.
    """

    folder: Path

    def data(self, seed: int) -> ImageExamples:
        r"""All images, those to train with first, whatever the seed."""
        return _cifar10(self.folder)


@cache
def _cifar10(folder: Path) -> ImageExamples:
    parts = [_checked(folder / name) for name in (CIFAR_TRAIN, CIFAR_TEST)]
    images, labels = (torch.cat(part) for part in zip(*parts, strict=True))
    return ImageExamples(images, labels)


def _checked(path: Path) -> tuple[Tensor, Tensor]:
    images, labels = read_cifar(path)
    found = ImageExamples(images, labels).facts()
    check(path.name.removesuffix(".bin.xz"), path, found)
    return images, labels


def read_cifar(path: Path) -> tuple[Tensor, Tensor]:
    r"""Images [N, 3, 32, 32] of bytes, and their classes, from a binary file.

    Raises:
        Absent: If the file is not there.
        ValueError: If it is not of that form.
    """
    if not path.is_file():
        raise Absent(
            f"there is no '{path}': CIFAR-10's binary form, a byte of class and 3,072 "
            "of pixels an image, packed by xz"
        )
    with reading(path), lzma.open(path) as file:
        raw = np.frombuffer(file.read(), np.uint8)
    if len(raw) % BYTES:
        raise ValueError(f"'{path}' is not whole images of {BYTES} bytes")
    table = torch.from_numpy(raw.copy()).view(-1, BYTES)
    return table[:, 1:].reshape(-1, 3, 32, 32), table[:, 0].long()


@cache
def _digits() -> ImageExamples:
    pixels, digits = small_digits()
    return ImageExamples(pixels.view(-1, 1, 8, 8), digits)


def _model(
    widths: tuple[int, ...], examples: ImageExamples, readout: Readout
) -> ImageClassifier:
    num_classes = int(examples.y.max()) + 1
    return ImageClassifier(examples.x.size(1), widths, num_classes, readout)


def tasks(root: Path | None) -> list[Task]:
    r"""The images of the suite: embedded digits, and CIFAR-10 of ``root/cifar10``."""
    folder = Path("cifar10") if root is None else root / "cifar10"
    small, large = (16, 32), (16, 32, 64)
    return [
        Task(
            application="images",
            name="digits",
            data=lambda seed: _digits(),
            split=fold_split,
            model=partial(_model, small),
            training=Training(epochs=30, patience=10, learning_rate=3e-3),
            num_folds=10,
            runs=10,
            settings={"widths": list(small)},
        ),
        Task(
            application="images",
            name="CIFAR-10 subset",
            data=Cifar10(folder).data,
            split=partial(given_split, num_train=NUM_TRAIN),
            model=partial(_model, large),
            training=Training(epochs=20, patience=20, learning_rate=3e-3),
            batch_size=128,
            runs=3,
            long=True,
            settings={"widths": list(large)},
            augment=shift_and_flip,
        ),
    ]
