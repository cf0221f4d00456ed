import pytest
import torch

from benchmarks.graph_tasks import Shape
from benchmarks.harness import Training
from benchmarks.pretrained import Pretrained, load

SHAPE = Shape(hidden=8, num_layers=2)


@pytest.fixture
def pretrained(dataset, tmp_path) -> Pretrained:
    return Pretrained(dataset, Training(2), SHAPE, tmp_path)


def test_a_model_is_trained_once(pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pretrained.model("mean", 0)
    monkeypatch.setattr("benchmarks.experiment.fit", None)
    again = pretrained.model("mean", 0)
    assert not again.training
    for name, value in first.state_dict().items():
        assert again.state_dict()[name].equal(value)


def test_batches_come_in_the_same_order_again(pretrained) -> None:
    first, second = ([y for _, y in pretrained.loaders(0).train] for _ in range(2))
    assert all(a.equal(b) for a, b in zip(first, second, strict=True))


def test_features_are_those_of_the_test_graphs(pretrained) -> None:
    graphs = pretrained.test_graphs(0)
    features = pretrained.features("max", 0)
    assert features.shape == (graphs.x.size(0), 8)
    assert not features.requires_grad
    model = pretrained.model("max", 0)
    pooled = model.readout(features, graphs.batch, dim_size=graphs.num_graphs)
    with torch.no_grad():
        torch.testing.assert_close(model.head(pooled), model(graphs))


def test_data_by_name(write_tu, tmp_path) -> None:
    root = write_tu()
    assert len(load("SHAPES", root, tmp_path / "cache").graphs) == 40
    with pytest.raises(ValueError, match="'SHAPES' needs --root"):
        load("SHAPES", None)
