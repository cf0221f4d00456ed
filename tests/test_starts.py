import pytest
import torch

from tests.aggr.test_uotp import INDEX, nodes
from torch_geometric_uotp import UOTPAggregation
from torch_geometric_uotp.starts import spread


def test_each_quarter_of_the_channels_is_a_pooling_of_its_own() -> None:
    layer, x = UOTPAggregation.spread(8, node_prior="uniform"), nodes(8)
    first = UOTPAggregation(2, alpha0=20, alpha1=20, alpha2=180, size_power=1.0)
    last = UOTPAggregation(2, alpha0=0.125, alpha1=0.125, alpha2=1.125)
    out = layer(x, INDEX)
    torch.testing.assert_close(out[:, :2], first(x[:, :2], INDEX))
    torch.testing.assert_close(out[:, 6:], last(x[:, 6:], INDEX))


def test_starts_as_told_and_learns() -> None:
    layer = UOTPAggregation.spread(8)
    found = layer.coefficients()
    torch.testing.assert_close(found["t"], torch.tensor([[0.05, 1, 2, 8]]).double())
    torch.testing.assert_close(found["r_q"], torch.full((1, 4), 0.9).double())
    assert found["size_power"].tolist() == [[1, 0, 0, 0]]
    assert layer.node_prior(nodes(8)).shape == (10, 4)
    layer(nodes(8), INDEX).square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())


def test_arguments_take_precedence() -> None:
    assert spread(solver="badmm", node_prior="uniform")["node_prior"] == "uniform"
    assert str(UOTPAggregation.spread(8, solver="badmm").solver).startswith("badmm")


def test_channels_must_divide_into_quarters() -> None:
    with pytest.raises(ValueError, match=r"6 channels and 4 heads"):
        UOTPAggregation.spread(6)
