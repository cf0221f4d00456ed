r"""Image classification end to end: handwritten digits and a small CNN.

    python -m benchmarks.digits --pool mean max uotp --seeds 5

The 1,797 images of 8 x 8 pixels come with scikit-learn. A run is one pooling at one
seed, which is one of ten folds; it takes seconds.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    BatchNorm2d,
    Conv2d,
    Linear,
    Module,
    ReLU,
    Sequential,
)
from torch.nn.functional import cross_entropy

from benchmarks.bags import small_digits
from benchmarks.harness import Loaders, Training, fit
from benchmarks.records import table
from benchmarks.splits import NUM_FOLDS, fold_split
from torch_geometric_uotp import UOTPPool2d

CHANNELS = 32
POOLS: dict[str, Callable[[], Module]] = {
    "mean": lambda: AdaptiveAvgPool2d(1),
    "max": lambda: AdaptiveMaxPool2d(1),
    "uotp": lambda: UOTPPool2d(CHANNELS),
    "uotp-heads": lambda: UOTPPool2d(CHANNELS, heads=4),
    "uotp-steps": lambda: UOTPPool2d(CHANNELS, share_steps=False),
}


class DigitClassifier(Module):
    r"""Three convolutions that keep the resolution, a pooling and a linear layer.

    Args:
        pool (torch.nn.Module): Maps [B, 32, H, W] to [B, 32, 1, 1].
    """

    def __init__(self, pool: Module):
        super().__init__()
        self.features = Sequential(*_layer(1), *_layer(CHANNELS), *_layer(CHANNELS))
        self.pool = pool
        self.head = Linear(CHANNELS, 10)

    def forward(self, x: Tensor) -> Tensor:
        r"""Logits, of shape [B, 10], of images [B, 1, H, W]."""
        logits: Tensor = self.head(self.pool(self.features(x)).flatten(1))
        return logits


def _layer(channels: int) -> tuple[Module, Module, Module]:
    return Conv2d(channels, CHANNELS, 3, padding=1), BatchNorm2d(CHANNELS), ReLU()


def load() -> tuple[Tensor, Tensor]:
    r"""Images, of shape [1797, 1, 8, 8] and in [0, 1], and the digits they show."""
    pixels, digits = small_digits()
    images = pixels.view(-1, 1, 8, 8)
    # What follows keeps this format, in which UOTPPool2d reads without a copy.
    return images.contiguous(memory_format=torch.channels_last), digits


def train(
    pool: str, seed: int, training: Training, batch_size: int = 64
) -> tuple[DigitClassifier, dict[str, Any]]:
    r"""Trains and tests one pooling at one seed.

    Returns:
        The model, and its record as made by :func:`benchmarks.harness.fit`.

    Raises:
        ValueError: If there is no such pooling.
    """
    if pool not in POOLS:
        raise ValueError(f"no pooling '{pool}' (choose from: {', '.join(POOLS)})")
    x, y = load()
    split = fold_split(y, *divmod(seed, NUM_FOLDS)[::-1])
    torch.manual_seed(seed)
    model = DigitClassifier(POOLS[pool]())
    torch.manual_seed(seed)  # The order of the batches is that of all poolings.
    loaders = Loaders(
        _Shuffled(x[split.train], y[split.train], batch_size),
        [(x[split.val], y[split.val])],
        [(x[split.test], y[split.test])],
    )
    record = fit(model, loaders, cross_entropy, training, label=f"{pool}, seed {seed}")
    return model.eval(), {"readout": pool, "seed": seed, **record}


class _Shuffled:
    """Batches in an order drawn anew each time."""

    def __init__(self, x: Tensor, y: Tensor, size: int):
        self.x, self.y, self.size = x, y, size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.y))
        for start in range(0, len(order), self.size):
            part = order[start : start + self.size]
            yield self.x[part], self.y[part]


def main(argv: Sequence[str] | None = None) -> int:
    r"""Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser("digits", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--pool", nargs="+", default=list(POOLS), choices=POOLS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    args = parser.parse_args(argv)
    try:
        if args.seeds < 1:
            raise ValueError(f"--seeds must be at least 1 (got {args.seeds})")
        training = Training(epochs=args.epochs)
    except ValueError as error:
        print(f"digits: {error}", file=sys.stderr)
        return 2
    runs = [(pool, seed) for seed in range(args.seeds) for pool in args.pool]
    print(table([train(pool, seed, training)[1] for pool, seed in runs]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
