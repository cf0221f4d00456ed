from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import landscape
from benchmarks.landscape import (
    CONFIRMATION,
    DEVELOPMENT,
    POINTS,
    SECOND_CONFIRMATION,
    World,
    task,
)


@pytest.fixture
def world() -> World:
    return World(np.random.default_rng(0))


def nearest(world, x):
    return np.linalg.norm(x[:, None] - world.centres, axis=-1).argmin(1)


@pytest.mark.parametrize("name", POINTS)
def test_sets_are_as_many_and_as_large_as_said(name):
    point = POINTS[name]
    if point.sizes[1] > 500:
        point = replace(point, num_train=4)
    examples = point.draw_all(0)
    counts = examples.ptr.diff()
    assert len(examples) == 4 * point.num_train
    assert counts.min() >= point.sizes[0]
    assert counts.max() <= point.sizes[1] or name.startswith("duplicates")
    assert examples.x.shape == (int(counts.sum()), landscape.DIMENSIONS)
    assert examples.x.isfinite().all()
    assert 0.4 < examples.y.double().mean() < 0.6 or len(examples) < 50


def test_a_seed_decides():
    point = POINTS["count 2:4"]
    assert torch.equal(point.draw_all(1).x, point.draw_all(1).x)
    assert not torch.equal(point.draw_all(1).x[:8], point.draw_all(2).x[:8])


@pytest.mark.parametrize(("rate", "moved"), [(0.0, 1), (0.3, 12), (1.0, 40)])
def test_witnesses_are_moved(world, rate, moved):
    drawn = [
        landscape.witness(World(np.random.default_rng(0)), y, 40, rate=rate, shift=9.0)
        for y in (0, 1)
    ]
    along = (drawn[1] - drawn[0]) @ world.direction
    # The same draws in both classes but for which instances are moved.
    assert (along.round(6) == 9).sum() == moved
    assert (along.round(6) == 0).sum() == 40 - moved


def test_counts_do_not_grow_with_the_set(world):
    for size in (10, 60):
        counts = [
            (nearest(world, landscape.count(world, 1, size, few=2, many=5)) == 0).sum()
            for _ in range(200)
        ]
        assert np.mean(counts) == pytest.approx(5, abs=0.5)


def test_proportions_do(world):
    for size in (10, 60):
        shares = [
            (landscape.proportion(world, 1, size, low=0.1, high=0.5), size)
            for _ in range(200)
        ]
        found = np.mean([(nearest(world, x) == 0).mean() for x, _ in shares])
        assert found == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("y", [0, 1])
def test_the_majority_leads(world, y):
    x = np.concatenate(
        [landscape.majority(world, y, 40, margin=0.1) for _ in range(50)]
    )
    found = np.bincount(nearest(world, x), minlength=8)[:2] / len(x)
    assert found[y] == pytest.approx(0.3, abs=0.03)
    assert found[1 - y] == pytest.approx(0.2, abs=0.03)


def test_outliers_are_long(world):
    x = landscape.outlier(world, 0, 1000, share=0.1, norm=50.0, shift=1.0)
    assert (np.linalg.norm(x, axis=1) > 30).mean() == pytest.approx(0.1, abs=0.03)


def test_duplicates_are_near_their_originals(world):
    x = landscape.duplicates(world, 0, 20, copies=8.0)
    apart = np.linalg.norm(x[:, None] - x, axis=-1)
    originals = len(np.unique((apart < 1.0).argmax(1)))
    assert originals == 20
    assert len(x) > 60


@pytest.mark.parametrize(("y", "kinds"), [(0, 3), (1, 6)])
def test_distinct_clusters_are_counted(y, kinds):
    world = World(np.random.default_rng(0))
    world.centres *= 10
    x = landscape.distinct(world, y, 30, few=3, many=6)
    assert len(set(nearest(world, x))) == kinds


@pytest.mark.parametrize(("y", "kinds"), [(0, 3), (1, 4)])
def test_conjunctions_miss_one_cue(y, kinds):
    world = World(np.random.default_rng(0))
    world.centres *= 10
    found = nearest(world, landscape.conjunction(world, y, 30, cues=4))
    assert len({cluster for cluster in found if cluster < 4}) == kinds
    assert (found < 4).sum() == 4


def test_parts_hold_every_point_once():
    parts = (DEVELOPMENT, CONFIRMATION, SECOND_CONFIRMATION)
    assert sorted(name for part in parts for name in part) == sorted(POINTS)
    families = {name.split()[0] for name in POINTS}
    for part in parts:
        assert {name.split()[0] for name in part} == families


def test_test_sets_are_the_last_half_and_more():
    made = task(POINTS["witness 0%"])
    split = made.split(torch.zeros(3200), 0, 0)
    assert [len(part) for part in split] == [800, 400, 2000]
