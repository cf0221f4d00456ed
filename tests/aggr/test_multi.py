import pytest
import torch
from torch.nn import Linear

from tests.aggr.test_uotp import INDEX, nodes
from torch_geometric_uotp import MultiUOTPAggregation, Transport, UOTPAggregation


def alone(layer: MultiUOTPAggregation, number: int, start: Transport):
    """One of the transports of a layer, by the layer that it is."""
    return UOTPAggregation(
        6,
        alpha0=start.alpha0,
        alpha1=start.alpha0,
        alpha2=9 * start.alpha0,
        node_prior=layer.node_prior,
        scores=layer.transports[number].scores,
        size_power=start.size_power,
    )


@pytest.mark.parametrize("out_channels", [None, 4])
@pytest.mark.parametrize("node_prior", ["attention", "uniform"])
def test_transports_stand_side_by_side(
    node_prior: str, out_channels: int | None
) -> None:
    starts = (Transport(10.0, size_power=1.0), Transport(0.3, mapped=True))
    layer = MultiUOTPAggregation(6, out_channels, starts, node_prior)
    x = nodes()
    pooled = [alone(layer, i, start)(x, INDEX) for i, start in enumerate(starts)]
    expected = torch.cat(pooled, -1)
    if out_channels is not None:
        expected = expected @ layer.map.weight.T
    torch.testing.assert_close(layer(x, INDEX), expected)


def test_a_node_that_the_prior_ignores_is_ignored_by_all() -> None:
    gate = Linear(6, 1, bias=False)
    with torch.no_grad():
        gate.weight.copy_(torch.tensor([[-1e4, 0, 0, 0, 0, 0]]))
    starts = (Transport(10.0), Transport(0.3, mapped=True), Transport(0.1))
    layer = MultiUOTPAggregation(6, transports=starts, node_prior=gate)
    x = nodes()
    x[:, 0] = 0
    x[1, 0] = 1
    kept = torch.arange(len(x)) != 1
    torch.testing.assert_close(layer(x, INDEX), layer(x[kept], INDEX[kept]))


def test_norms_are_not_seen_by_the_scores() -> None:
    layer = MultiUOTPAggregation(6, transports=[Transport(0.2)], node_prior="uniform")
    x = nodes()
    x -= x.mean(-1, keepdim=True)
    scores = layer.transports[0].scores
    torch.testing.assert_close(scores(100 * x), scores(x), rtol=1e-3, atol=1e-3)


def test_empty_sets_are_0_and_leading_axes_kept() -> None:
    layer, x = MultiUOTPAggregation(6, 3), nodes()
    out = layer(x, INDEX, dim_size=7)
    assert out[[3, 5, 6]].eq(0).all()
    both = torch.stack([x, 2 * x])
    torch.testing.assert_close(layer(both, INDEX, dim_size=7)[0], out)
    assert layer(both.movedim(0, 1), INDEX, dim=0).shape == (5, 2, 3)


def test_starts_where_it_is_told_and_goes_back() -> None:
    layer = MultiUOTPAggregation(6, 4)
    found = layer.coefficients()
    torch.testing.assert_close(found["t"], torch.tensor([[0.05, 2, 4]]).double())
    torch.testing.assert_close(found["r_q"], torch.full((1, 3), 0.9).double())
    before = layer.map.weight.detach().clone()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.rand_like(parameter) / 8)
    layer.reset_parameters()
    torch.testing.assert_close(layer.coefficients(), found)
    assert not layer.map.weight.equal(before)


def test_coefficients_may_be_fixed() -> None:
    layer = MultiUOTPAggregation(6, learn=False)
    assert not any("coefficient" in name for name, _ in layer.named_parameters())


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"transports": ()}, "at least one"),
        ({"out_channels": 0}, "at least 1"),
        ({"channels": 0}, "'channels'"),
        ({"node_prior": "mean"}, "'node_prior'"),
    ],
)
def test_says_what_is_wrong(kwargs, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        MultiUOTPAggregation(**{"channels": 6, **kwargs})


def test_repr() -> None:
    assert repr(MultiUOTPAggregation(6)) == (
        "MultiUOTPAggregation(6, 18, node_prior=attention, transports=["
        "LN(x): t=0.05 r_q=0.9 size_power=1, LN(Wx): t=2 r_q=0.9, LN(x): t=4 r_q=0.9])"
    )
