import pytest
import torch

from benchmarks.examples import Batches, offsets, ranges


def test_batches_hold_every_graph_once_and_are_even(dataset):
    ids = torch.arange(3, 36)
    batches = list(Batches(dataset.graphs, ids, 16))
    assert [graphs.num_graphs for graphs, _ in batches] == [11, 11, 11]
    assert torch.equal(torch.cat([y for _, y in batches]), dataset.graphs.y[ids])


def test_shuffling_is_new_each_time_and_reproducible(dataset):
    def passes():
        generator = torch.Generator().manual_seed(5)
        loader = Batches(dataset.graphs, torch.arange(40), 40, generator)
        return [next(iter(loader))[0].x for _ in range(2)]

    (first, second), again = passes(), passes()
    assert not torch.equal(first, second)
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])
    ordered = first.sum(1).sort().values
    torch.testing.assert_close(ordered, dataset.graphs.x.sum(1).sort().values)


def test_augments_training_batches_alone(dataset):
    def negated(graphs, generator):
        return graphs._replace(x=-graphs.x)

    ids, generator = torch.arange(40), torch.Generator()
    (plain,) = Batches(dataset.graphs, ids, 40, augment=negated)
    (trained,) = Batches(dataset.graphs, ids, 40, generator, negated)
    torch.testing.assert_close(plain[0].x, dataset.graphs.x)
    assert trained[0].x.sum().item() == pytest.approx(
        -plain[0].x.sum().item(), rel=1e-4
    )


def test_ranges_follow_one_another():
    assert offsets(torch.tensor([2, 0, 3])).tolist() == [0, 2, 2, 5]
    start, count = torch.tensor([7, 1, 0]), torch.tensor([2, 0, 3])
    assert ranges(start, count).tolist() == [7, 8, 0, 1, 2]
