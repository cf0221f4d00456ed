import pytest
import torch
from torch_geometric.nn.aggr import Aggregation

from benchmarks.readouts import CONVENTIONAL, READOUTS, resolve
from torch_geometric_uotp import UOTPAggregation

INDEX = torch.tensor([0, 0, 0, 2, 2])
EDGES = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 0, 4, 3]])


def pool(name, x, index=INDEX, dim_size=4):
    readout = resolve(name)
    module = readout.build(x.size(1))
    edges = {"edge_index": EDGES} if readout.reads_edges else {}
    return module, module(x, index, dim_size=dim_size, **edges)


@pytest.mark.parametrize("name", READOUTS)
def test_pools_every_set_and_learns(name):
    x = torch.randn(5, 4, requires_grad=True)
    module, pooled = pool(name, x)
    assert pooled.shape == (4, 4 * resolve(name).expansion)
    pooled.square().sum().backward()
    assert x.grad is not None
    learned = [value for value in module.parameters() if value.requires_grad]
    assert all(value.grad is not None for value in learned)


@pytest.mark.parametrize("name", READOUTS)
def test_sets_do_not_mix(name):
    x = torch.randn(5, 4)
    torch.manual_seed(0)
    _, pooled = pool(name, x)
    other = torch.cat([x[:3], torch.randn(2, 4)])
    torch.manual_seed(0)
    torch.testing.assert_close(pool(name, other)[1][0], pooled[0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mean", torch.mean), ("max", torch.amax), ("sum", torch.sum)],
)
def test_plain_readouts_are_what_they_say(name, expected):
    x = torch.randn(5, 4)
    _, pooled = pool(name, x)
    torch.testing.assert_close(pooled[0], expected(x[:3], dim=0))
    torch.testing.assert_close(pooled[2], expected(x[3:], dim=0))


@pytest.mark.parametrize(
    "transport", ["lnw", "mix", "mix-size", "safe", "attending", "attending-linear"]
)
def test_ablations_learn_all_but_the_transport(transport):
    def learned(name):
        parameters = resolve(name).build(8).named_parameters()
        return {name for name, value in parameters if value.requires_grad}

    without = learned(f"{transport}-rq0")
    assert learned(transport) - without == {"coefficient.r_p", "coefficient.r_q"}
    assert without <= learned(transport)


def test_without_transport_uotp_is_a_softmax_with_one_temperature():
    x = torch.randn(5, 4)
    module, pooled = pool("uotp-rq0", x)
    assert isinstance(module, UOTPAggregation)
    torch.testing.assert_close(pooled, pool("softmax1", x)[1])


def test_pyg_has_the_readouts_that_pyg_has():
    own = {"mixed", "gated-mixed", "dynamic", "sagpool"}
    for name in set(CONVENTIONAL) - own:
        module = resolve(name).build(8)
        assert isinstance(module, Aggregation)
        assert type(module).__module__.startswith("torch_geometric.nn.aggr")


def test_an_unknown_name_lists_the_known():
    with pytest.raises(
        ValueError, match=r"no readout 'median' \(choose from: mean, max"
    ):
        resolve("median")
