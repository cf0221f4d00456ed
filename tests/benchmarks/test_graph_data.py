import torch
from torch_geometric.data import Batch

from benchmarks.graph_data import GraphSet


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


def test_description_counts(dataset):
    assert dataset.describe().startswith("signs: 40 graphs in 2 classes, 4.8 nodes")
    assert dataset.to("cpu").describe() == dataset.describe()
