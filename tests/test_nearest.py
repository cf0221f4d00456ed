import pytest
import torch
from torch.nn import BatchNorm1d, Dropout, Linear, Sequential
from torch_geometric.nn.aggr import Aggregation, MeanAggregation, SoftmaxAggregation

from torch_geometric_uotp import (
    HierarchicalUOTPAggregation,
    UOTPAggregation,
    nearest_pooling,
)

INDEX = torch.arange(20).repeat_interleave(torch.arange(1, 21))


def nodes() -> torch.Tensor:
    return torch.randn(INDEX.numel(), 6)


@pytest.mark.parametrize("name", ["mean", "max", "sum", "attention"])
def test_a_pooling_is_nearest_to_itself(name: str) -> None:
    prior = {"node_prior": Linear(6, 1)} if name == "attention" else {}
    layer = UOTPAggregation.like(name, 6, **prior)
    found = nearest_pooling(layer, nodes(), INDEX)
    assert next(iter(found)) == name
    assert found[name] < 1e-6
    assert list(found.values()) == sorted(found.values())
    assert ("attention" in found) == (name == "attention")
    assert len(found) == len(prior) + 4


@pytest.mark.parametrize("t", [0.02, 0.7, 3.3, 40.0])
def test_finds_the_temperature_of_a_softmax(t: float) -> None:
    layer = UOTPAggregation.like("softmax", 6, alpha0=1 / t)
    found = nearest_pooling(layer, nodes(), INDEX)
    nearest = next(iter(found))
    assert found[nearest] < 1e-3
    reported = float(nearest.removeprefix("softmax(t=").removesuffix(")"))
    assert reported == pytest.approx(t, rel=0.01)


def test_distances_are_relative_to_the_output_of_the_layer() -> None:
    layer, x = UOTPAggregation(6), nodes()
    found = nearest_pooling(layer, x, INDEX)
    ours, mean = layer(x, INDEX), MeanAggregation()(x, INDEX)
    expected = ((ours - mean).norm() / ours.norm()).item()
    assert found["mean"] == pytest.approx(expected, rel=1e-5)


def test_the_nearest_softmax_is_nearer_than_others() -> None:
    layer, x = UOTPAggregation(6, alpha0=0.3, alpha2=1.0), nodes()
    found = nearest_pooling(layer, x, INDEX)
    (nearest,) = (value for name, value in found.items() if "softmax" in name)
    ours = layer(x, INDEX)
    others = [
        ((ours - SoftmaxAggregation(t)(x, INDEX)).norm() / ours.norm()).item()
        for t in (0.1, 0.5, 1.0, 2.0, 5.0)
    ]
    assert 0 < nearest <= min(others)


def test_heads_are_told_apart() -> None:
    layer = UOTPAggregation(
        6, heads=2, alpha0=torch.tensor([1e3, 0.0]), alpha2=0.0, learn=False
    )
    x = nodes()
    first, second = (nearest_pooling(layer, x, INDEX, head=head) for head in range(2))
    assert first["mean"] < 0.01 < first["max"]
    assert second["max"] == 0
    with pytest.raises(ValueError, match=r"'head' must be in \[0, 2\) .got 2"):
        nearest_pooling(layer, x, INDEX, head=2)


def test_an_output_of_zero_has_finite_distances() -> None:
    found = nearest_pooling(UOTPAggregation(6), torch.zeros(4, 6))
    assert set(found.values()) == {0.0}


def test_the_layer_is_looked_at_in_evaluation_mode() -> None:
    gate = Sequential(BatchNorm1d(6), Dropout(), Linear(6, 1))
    layer, x = UOTPAggregation(6, node_prior=gate), nodes()
    gate[1].eval()
    assert nearest_pooling(layer, x, INDEX) == nearest_pooling(layer.eval(), x, INDEX)
    assert gate[0].num_batches_tracked == 0


def test_modes_are_given_back() -> None:
    gate = Sequential(Dropout().eval(), Linear(6, 1))
    layer = UOTPAggregation(6, node_prior=gate)
    before = [module.training for module in layer.modules()]
    nearest_pooling(layer, nodes(), INDEX)
    assert [module.training for module in layer.modules()] == before


@pytest.mark.parametrize("layer", [HierarchicalUOTPAggregation(6), MeanAggregation()])
def test_refuses_other_layers(layer: Aggregation) -> None:
    with pytest.raises(ValueError, match=r"be a UOTPAggregation \(got"):
        nearest_pooling(layer, nodes(), INDEX)


def test_the_layer_stays_where_it_is() -> None:
    layer = UOTPAggregation(6)
    with pytest.raises(ValueError, match=r"'x' must hold values .*on meta"):
        nearest_pooling(layer, nodes().to("meta"), INDEX.to("meta"))
    assert not any(parameter.is_meta for parameter in layer.parameters())
