r"""A controlled landscape: generated sets whose right pooling is known, and varies.

    python -m benchmarks.suite --application landscape

Instances are drawn from eight Gaussian clusters in 16 dimensions, unit noise about
centres at distances near 5.6. In each family of tasks something else tells the two
classes apart, and a level makes it harder or moves it from where one pooling is
right to where another is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch_geometric.nn import MLP

from benchmarks.harness import Training
from benchmarks.readouts import Readout
from benchmarks.sets import SetClassifier, SetExamples
from benchmarks.splits import consecutive_split
from benchmarks.task import Task

DIMENSIONS = 16
CLUSTERS = 8
RARE = 2  # the first clusters carry classes in some families; the rest are background
HIDDEN = 32
RUNS = 4
TRAINING = Training(epochs=60, patience=15, learning_rate=3e-3)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class World:
    r"""What all sets of a seed have in common, and the draws they are made of.

    Args:
        rng (numpy.random.Generator): Of everything drawn.
    """

    def __init__(self, rng: Generator):
        self.rng = rng
        self.centres: Floats = rng.normal(size=(CLUSTERS, DIMENSIONS))
        direction = rng.normal(size=DIMENSIONS)
        self.direction: Floats = direction / np.linalg.norm(direction)

    def background(self, size: int, spared: int = RARE) -> Ints:
        r"""Clusters of ``size`` instances, none of the first ``spared``."""
        return self.rng.integers(spared, CLUSTERS, size)

    def instances(self, clusters: Ints) -> Floats:
        r"""An instance of each cluster in a list, of shape [n, DIMENSIONS]."""
        noise = self.rng.normal(size=(len(clusters), DIMENSIONS))
        return np.asarray(self.centres[clusters] + noise)

    def chosen(self, size: int, count: int) -> Ints:
        r"""Different positions among ``size``."""
        return self.rng.permutation(size)[:count]


# Each maps a world, the class and the size of a set to its instances.
Draw = Callable[[World, int, int], Floats]


def witness(world: World, y: int, size: int, *, rate: float, shift: float) -> Floats:
    r"""In class 1, a share of the instances, at least one, is moved one way."""
    x = world.instances(world.background(size))
    moved = world.chosen(size, max(1, round(rate * size)) if y else 0)
    x[moved] += shift * world.direction
    return x


def count(world: World, y: int, size: int, *, few: int, many: int) -> Floats:
    r"""``few`` or ``many`` instances (give or take one) of cluster 0, however many."""
    clusters = world.background(size)
    middle = many if y else few
    rare = world.chosen(size, middle + int(world.rng.integers(-1, 2)))
    clusters[rare] = 0
    return world.instances(clusters)


def proportion(world: World, y: int, size: int, *, low: float, high: float) -> Floats:
    r"""A share ``low`` or ``high`` of the instances is of cluster 0."""
    clusters = world.background(size)
    share = high if y else low
    clusters[world.rng.random(size) < share] = 0
    return world.instances(clusters)


def majority(world: World, y: int, size: int, *, margin: float) -> Floats:
    r"""Clusters 0 and 1 share half of the set; the class is which of them leads."""
    clusters = world.background(size)
    both = world.chosen(size, size // 2)
    lead = round((0.5 + margin) * len(both))
    clusters[both[:lead]] = y
    clusters[both[lead:]] = 1 - y
    return world.instances(clusters)


def outlier(
    world: World, y: int, size: int, *, share: float, norm: float, shift: float
) -> Floats:
    r"""All instances are moved in class 1; in both, a share is of large norm."""
    x = world.instances(world.background(size))
    x += y * shift * world.direction
    x[world.rng.random(size) < share] *= norm
    return x


def duplicates(world: World, y: int, size: int, *, copies: float) -> Floats:
    r"""A share of the originals is of cluster 0; each has near-copies, very unevenly.

    The class is the share among the originals, 25 or 60 %, whatever is copied.
    """
    clusters = world.background(size)
    clusters[world.rng.random(size) < (0.6 if y else 0.25)] = 0
    originals = world.instances(clusters)
    times = world.rng.geometric(1 / copies, size)
    x = originals.repeat(times, axis=0)
    return np.asarray(x + 0.05 * world.rng.normal(size=x.shape))


def distinct(world: World, y: int, size: int, *, few: int, many: int) -> Floats:
    r"""Instances of ``few`` or of ``many`` different clusters."""
    kinds = world.chosen(CLUSTERS, many if y else few)
    clusters = np.concatenate([kinds, world.rng.choice(kinds, size)])[:size]
    return world.instances(clusters)


def conjunction(world: World, y: int, size: int, *, cues: int) -> Floats:
    r"""Each of ``cues`` rare clusters once; in class 0 one twice, another missing."""
    clusters = world.background(size, spared=cues)
    kinds = world.rng.permutation(cues)
    if not y:
        kinds[0] = kinds[1]
    clusters[world.chosen(size, cues)] = kinds
    return world.instances(clusters)


@dataclass(frozen=True)
class Point:
    r"""A task of the landscape.

    Args:
        name (str): Family and level.
        draw (Callable): Maps a world, a class and a size to a set's instances.
        sizes (tuple): Smallest and largest size of a set.
        num_train (int): Sets to train with; half as many to validate, two and a half
            times as many to test.
    """

    name: str
    draw: Draw
    sizes: tuple[int, int] = (8, 60)
    num_train: int = 800

    def data(self, seed: int) -> SetExamples:
        r"""All sets of a seed: training, validation, test."""
        return _data(self, seed)

    def draw_all(self, seed: int) -> SetExamples:
        r"""As :meth:`data`, drawn anew."""
        rng = np.random.default_rng([seed, *self.name.encode()])
        world, total = World(rng), self.num_train * 4
        y = rng.integers(0, 2, total)
        sizes = rng.integers(self.sizes[0], self.sizes[1] + 1, total)
        drawn = [
            self.draw(world, c, n)
            for c, n in zip(y.tolist(), sizes.tolist(), strict=True)
        ]
        return SetExamples.from_counts(
            torch.from_numpy(np.concatenate(drawn)).float(),
            torch.tensor([len(x) for x in drawn]),
            torch.from_numpy(y),
        )


# Readouts of the same seed are run one after the other.
@lru_cache(maxsize=2)
def _data(point: Point, seed: int) -> SetExamples:
    return point.draw_all(seed)


# Shifts of rarer witnesses are larger, so that no point is beyond all readouts.
_FIRST = (
    Point("witness 0%", partial(witness, rate=0.0, shift=5.0)),
    Point("witness 10%", partial(witness, rate=0.1, shift=4.0)),
    Point("witness 30%", partial(witness, rate=0.3, shift=1.6)),
    Point("witness 100%", partial(witness, rate=1.0, shift=0.6)),
    Point("count 2:4", partial(count, few=2, many=4)),
    Point("count 2:6", partial(count, few=2, many=6)),
    Point("count 3:5", partial(count, few=3, many=5)),
    Point("proportion 0.15:0.3", partial(proportion, low=0.15, high=0.3)),
    Point("proportion 0.05:0.15", partial(proportion, low=0.05, high=0.15)),
    Point("proportion 0.4:0.6", partial(proportion, low=0.4, high=0.6)),
    Point("majority 0.1", partial(majority, margin=0.1)),
    Point("majority 0.05", partial(majority, margin=0.05)),
    Point("outlier 0.08x12.0", partial(outlier, share=0.08, norm=12.0, shift=0.7)),
    Point("outlier 0.08x3.0", partial(outlier, share=0.08, norm=3.0, shift=0.7)),
    Point("outlier 0.3x12.0", partial(outlier, share=0.3, norm=12.0, shift=0.7)),
    Point("outlier 0.02x50.0", partial(outlier, share=0.02, norm=50.0, shift=0.7)),
    Point("duplicates 8.0", partial(duplicates, copies=8.0), (6, 20)),
    Point("duplicates 2.0", partial(duplicates, copies=2.0), (6, 20)),
    Point("distinct 3:6", partial(distinct, few=3, many=6)),
    Point("distinct 4:5", partial(distinct, few=4, many=5)),
    Point("conjunction 2", partial(conjunction, cues=2)),
    Point("conjunction 4", partial(conjunction, cues=4)),
    Point("size 1", partial(witness, rate=0.2, shift=2.2), (1, 1)),
    Point("size 10", partial(witness, rate=0.2, shift=2.2), (10, 10)),
    Point("size 100", partial(witness, rate=0.2, shift=2.2), (100, 100), 400),
    Point("size 1000", partial(witness, rate=0.2, shift=2.2), (1000, 1000), 120),
)
# Between and beyond the levels above: laid out when the layer had been chosen.
_LATER = (
    Point("witness 3%", partial(witness, rate=0.03, shift=4.5)),
    Point("witness 60%", partial(witness, rate=0.6, shift=0.9)),
    Point("count 1:3", partial(count, few=1, many=3)),
    Point("count 4:7", partial(count, few=4, many=7)),
    Point("proportion 0.25:0.45", partial(proportion, low=0.25, high=0.45)),
    Point("proportion 0.6:0.8", partial(proportion, low=0.6, high=0.8)),
    Point("majority 0.07", partial(majority, margin=0.07)),
    Point("outlier 0.04x25.0", partial(outlier, share=0.04, norm=25.0, shift=0.7)),
    Point("outlier 0.15x6.0", partial(outlier, share=0.15, norm=6.0, shift=0.7)),
    Point("duplicates 4.0", partial(duplicates, copies=4.0), (6, 20)),
    Point("distinct 2:5", partial(distinct, few=2, many=5)),
    Point("conjunction 3", partial(conjunction, cues=3)),
    Point("size 3", partial(witness, rate=0.2, shift=2.2), (3, 3)),
    Point("size 30", partial(witness, rate=0.2, shift=2.2), (30, 30)),
)
POINTS = {point.name: point for point in (*_FIRST, *_LATER)}
# Ideas are tried on every other point of the first; the others confirm.
DEVELOPMENT = [point.name for point in _FIRST[::2]]
CONFIRMATION = [point.name for point in _FIRST[1::2]]
SECOND_CONFIRMATION = [point.name for point in _LATER]


def _model(examples: SetExamples, readout: Readout) -> SetClassifier:
    encoder = MLP([examples.x.size(1), HIDDEN, HIDDEN], norm=None)
    return SetClassifier(encoder, HIDDEN, 2, readout)


def task(point: Point, training: Training = TRAINING) -> Task:
    r"""Telling the two classes of a point apart."""
    train = point.num_train
    return Task(
        application="landscape",
        name=point.name,
        data=point.data,
        split=partial(consecutive_split, num_train=train, num_val=train // 2),
        model=_model,
        training=training,
        batch_size=16 if point.sizes[1] > 500 else 64,
        runs=RUNS,
        generated=True,
        settings={"hidden": HIDDEN},
    )


def tasks(root: Path | None) -> list[Task]:
    r"""A task for each point; they need no files."""
    return [task(point) for point in POINTS.values()]
