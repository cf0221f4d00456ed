import torch

from benchmarks.graph_model import GraphClassifier
from benchmarks.readouts import resolve


def build(name: str) -> GraphClassifier:
    torch.manual_seed(0)
    return GraphClassifier(3, 2, resolve(name), hidden=8, num_layers=2).eval()


def test_readouts_start_from_the_same_weights():
    mean, attention = build("mean"), build("attention")
    for part in ("backbone", "head"):
        others = getattr(attention, part).state_dict()
        for name, value in getattr(mean, part).state_dict().items():
            torch.testing.assert_close(value, others[name], rtol=0, atol=0)
    assert len(list(attention.parameters())) > len(list(mean.parameters()))


def test_a_graph_is_classified_by_itself(dataset):
    together, _ = dataset.graphs.select(torch.tensor([4, 7, 8]))
    alone, _ = dataset.graphs.select(torch.tensor([7]))
    for name in ("mean", "uotp", "set2set"):
        model = build(name)
        logits = model(together)
        assert logits.shape == (3, 2)
        torch.testing.assert_close(logits[1:2], model(alone))
        assert not torch.allclose(logits[0], logits[1])
