import pytest
import torch

from torch_geometric_uotp import GlobalPool, UOTPAggregation
from torch_geometric_uotp.global_pool import FUNCTIONS

INDEX = torch.tensor([0, 0, 2, 2, 2])


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shape", [(5,), (5, 4), (3, 5, 4)])
@pytest.mark.parametrize(
    ("batch", "size"), [(INDEX, None), (INDEX, 4), (None, None), (None, 3)], ids=str
)
def test_is_called_as_the_function_is(function, shape, batch, size) -> None:
    x = torch.randn(shape)
    found = GlobalPool(FUNCTIONS[function])(x, batch, size)
    torch.testing.assert_close(found, function(x, batch, size))


def test_holds_no_weights() -> None:
    assert not GlobalPool("mean").state_dict()


def test_takes_any_aggregation() -> None:
    pool = GlobalPool(UOTPAggregation(4, node_prior="attention"))
    x = torch.randn(5, 4)
    assert pool(x, INDEX, size=3).equal(pool.aggr(x, INDEX, dim_size=3))
    drawn = pool.aggr.node_prior.score.weight.detach().clone()
    pool.reset_parameters()
    assert not pool.aggr.node_prior.score.weight.equal(drawn)
