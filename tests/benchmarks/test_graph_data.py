import torch
from torch_geometric.data import Batch

from benchmarks.graph_data import GraphBatches, GraphSet


def test_select_batches_as_pyg_does(graphs):
    packed = GraphSet.from_data_list(graphs)
    order = torch.randperm(len(graphs))[:17]
    chosen, y = packed.select(order)
    expected = Batch.from_data_list([graphs[i] for i in order.tolist()])
    torch.testing.assert_close(chosen.x, expected.x)
    assert torch.equal(chosen.edge_index, expected.edge_index)
    assert torch.equal(chosen.batch, expected.batch)
    assert torch.equal(y, expected.y)
    assert chosen.num_graphs == 17


def test_select_one_graph_without_edges(graphs):
    packed = GraphSet.from_data_list(graphs)
    chosen, _ = packed.select(torch.tensor([4]))
    assert chosen.edge_index.shape == (2, 0)
    torch.testing.assert_close(chosen.x, graphs[4].x)


def test_batches_hold_every_graph_once_and_are_even(dataset):
    ids = torch.arange(3, 36)
    batches = list(GraphBatches(dataset.graphs, ids, 16))
    assert [graphs.num_graphs for graphs, _ in batches] == [11, 11, 11]
    assert torch.equal(torch.cat([y for _, y in batches]), dataset.graphs.y[ids])


def test_shuffling_is_new_each_time_and_reproducible(dataset):
    def passes():
        generator = torch.Generator().manual_seed(5)
        loader = GraphBatches(dataset.graphs, torch.arange(40), 40, generator)
        return [next(iter(loader))[0].x for _ in range(2)]

    (first, second), again = passes(), passes()
    assert not torch.equal(first, second)
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])
    ordered = first.sum(1).sort().values
    torch.testing.assert_close(ordered, dataset.graphs.x.sum(1).sort().values)


def test_description_counts(dataset):
    assert dataset.describe().startswith("signs: 40 graphs in 2 classes, 4.8 nodes")
    assert dataset.to("cpu").describe() == dataset.describe()
