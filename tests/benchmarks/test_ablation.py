import torch

from benchmarks.ablation import WithoutTransport, freeze_fidelities, remove_transport
from torch_geometric_uotp import HierarchicalUOTPAggregation, UOTPAggregation

INDEX = torch.tensor([0, 0, 0, 1, 1])


def test_each_channel_is_a_weighted_softmax():
    x = torch.randn(5, 4)
    layer = UOTPAggregation(4, alpha0=0.5, node_prior="attention")
    remove_transport(layer)
    weights = (2 * x[:3] + layer.node_prior(x[:3])).softmax(0)
    torch.testing.assert_close(layer(x, INDEX)[0], (weights * x[:3]).sum(0))
    torch.testing.assert_close(layer.solve(x, INDEX).plan[:3], weights / 4)


def test_with_a_uniform_prior_it_is_the_layer_at_r_q_0():
    x = torch.randn(5, 4)
    layer = UOTPAggregation(4, alpha0=0.5)
    fixed = UOTPAggregation(4, alpha0=0.5, alpha2=0.0)
    remove_transport(layer)
    torch.testing.assert_close(layer(x, INDEX), fixed(x, INDEX))


def test_every_transport_of_a_layer_is_removed():
    poolings = [UOTPAggregation(4), UOTPAggregation.spread(4)]
    layer = HierarchicalUOTPAggregation(4, poolings)
    remove_transport(layer)
    for transport in (*poolings, layer.combine):
        assert isinstance(transport.solver, WithoutTransport)
    assert torch.isfinite(layer(torch.randn(5, 4), INDEX)).all()


def test_temperatures_learn_still():
    layer = UOTPAggregation(4)
    freeze_fidelities(layer)
    learning = [name for name, value in layer.named_parameters() if value.requires_grad]
    assert learning == ["coefficient.t"]
