import pytest
import torch

from benchmarks.graph_figures import inspect
from benchmarks.graph_model import GraphClassifier
from benchmarks.readouts import resolve


@pytest.mark.parametrize("name", ["uotp", "uotp-badmm", "uotp-attention"])
def test_shares_average_to_one_in_every_graph(dataset, name):
    model = GraphClassifier(3, 2, resolve(name), hidden=8, num_layers=2).eval()
    graphs, _ = dataset.graphs.select(torch.tensor([8, 0, 5]))
    predicted, shares = inspect(model, graphs)
    assert predicted == model(graphs).argmax(-1).tolist()
    assert [len(share) for share in shares] == [9, 1, 6]
    for share in shares:
        assert share.mean() == pytest.approx(1, abs=1e-5)
        assert (share > 0).all()
    assert shares[0].std() > 1e-4


def test_shares_are_those_of_the_node_marginal(dataset):
    model = GraphClassifier(3, 2, resolve("uotp"), hidden=8, num_layers=2).eval()
    graphs, _ = dataset.graphs.select(torch.tensor([8]))
    (share,) = inspect(model, graphs)[1]
    embedding = model.embed(graphs).detach()
    plan = model.readout.solve(embedding, graphs.batch).plan
    torch.testing.assert_close(torch.tensor(share), 9 * plan.sum(-1).detach())
