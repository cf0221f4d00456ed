import copy
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.nn import Linear, Module, Sequential
from torch_geometric.nn.aggr import (
    MaxAggregation,
    MeanAggregation,
    Set2Set,
    SumAggregation,
)

from tests.aggr.test_uotp import INDEX, empty_axis, nodes
from torch_geometric_uotp import HierarchicalUOTPAggregation, UOTPAggregation, ops
from torch_geometric_uotp.aggr.hierarchical import GatedWeights, SharedWeights


def gradients(out: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    weight = torch.linspace(-1, 1, out.numel()).view_as(out)
    return torch.autograd.grad((out * weight).sum(), inputs)


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("learn", [True, False])
def test_is_exactly_mixed_pooling(learn: bool, heads: int) -> None:
    layer = HierarchicalUOTPAggregation.like("mixed", 6, learn=learn, heads=heads)
    logits = torch.randn(2, heads)
    with torch.no_grad():
        layer.weights.logits.copy_(logits)
    x, free = nodes().requires_grad_(), logits.requires_grad_()
    omega = (free[1] - free[0]).sigmoid().repeat_interleave(6 // heads)
    mean, maximum = MeanAggregation()(x, INDEX), MaxAggregation()(x, INDEX)
    expected = omega * maximum + (1 - omega) * mean
    found = layer(x, INDEX)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        gradients(found, [x, layer.weights.logits]), gradients(expected, [x, free])
    )


def test_is_exactly_gated_pooling() -> None:
    layer = HierarchicalUOTPAggregation.like("gated", 6, learn=False)
    gate = torch.randn(6)
    with torch.no_grad():
        layer.weights.weight[1, 0] = gate
    x, free = nodes().requires_grad_(), gate.requires_grad_()
    omega = (SumAggregation()(x, INDEX) @ free).sigmoid().unsqueeze(-1)
    mean, maximum = MeanAggregation()(x, INDEX), MaxAggregation()(x, INDEX)
    expected = omega * maximum + (1 - omega) * mean
    found = layer(x, INDEX)
    torch.testing.assert_close(found, expected)
    of_x, of_gate = gradients(found, [x, layer.weights.weight])
    torch.testing.assert_close((of_x, of_gate[1, 0]), gradients(expected, [x, free]))


def test_is_the_transport_of_any_poolings() -> None:
    gate = Linear(6, 1)
    attention = UOTPAggregation.like("attention", 6, node_prior=gate)
    poolings = ["sum", MeanAggregation(), "uotp", attention]
    layer = HierarchicalUOTPAggregation(6, poolings, alpha0=0.4, heads=2)
    with torch.no_grad():
        layer.weights.logits.copy_(torch.randn(4, 2))
    x = nodes()
    outputs = [pooling(x, INDEX) for pooling in layer.poolings]
    combine = UOTPAggregation(6, alpha0=0.4, heads=2)
    for number in (0, 1, 2, 4):
        ways = torch.stack([output[number] for output in outputs])
        prior = layer.weights.logits.exp()
        torch.testing.assert_close(
            layer(x, INDEX)[number], combine(ways, node_prior=prior)[0]
        )


class FirstOnly(Module):
    """All weight on the first pooling, whatever the set."""

    def forward(self, nodes: Tensor, segments) -> Tensor:
        logits = nodes.new_tensor([[0.0], [-1e4]])
        return logits.expand(segments.num_sets, *nodes.shape[1:-1], 2, 1)


def test_weights_may_be_a_module() -> None:
    layer = HierarchicalUOTPAggregation.like("mixed", 6, weights=FirstOnly())
    x = nodes()
    torch.testing.assert_close(layer(x, INDEX), MeanAggregation()(x, INDEX))


def test_empty_sets_are_0_whatever_the_poolings_say() -> None:
    class Ones(MeanAggregation):
        def forward(self, x, index=None, ptr=None, dim_size=None, dim=-2):
            return super().forward(x, index, ptr, dim_size, dim) + 1

    out = HierarchicalUOTPAggregation(6, [Ones(), "max"])(nodes(), INDEX, dim_size=7)
    assert out[[3, 5, 6]].eq(0).all()
    assert out[[0, 1, 2, 4]].ne(0).all()


@pytest.mark.parametrize(
    ("name", "kind"), [("mixed", SharedWeights), ("gated", GatedWeights)]
)
def test_starts_even_and_goes_back(name: str, kind: type) -> None:
    layer = HierarchicalUOTPAggregation.like(name, 6)
    assert isinstance(layer.weights, kind)
    x = nodes()
    expected = (MeanAggregation()(x, INDEX) + MaxAggregation()(x, INDEX)) / 2
    torch.testing.assert_close(layer(x, INDEX), expected)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.rand_like(parameter) / 8)
    assert not layer(x, INDEX).allclose(expected)
    layer.reset_parameters()
    torch.testing.assert_close(layer(x, INDEX), expected)


def test_reset_reaches_into_containers() -> None:
    class Weights(Sequential):
        def forward(self, nodes: Tensor, segments) -> Tensor:
            return super().forward(segments.sum(nodes)).unflatten(-1, (2, 1))

    layer = HierarchicalUOTPAggregation(6, weights=Weights(Linear(6, 2))).half()
    assert layer(nodes().half(), INDEX).isfinite().all()
    drawn = layer.weights[0].weight.detach().clone()
    layer.reset_parameters()
    assert not layer.weights[0].weight.equal(drawn)


def test_repr() -> None:
    layer = HierarchicalUOTPAggregation(6, ["mean", "max"], weights="gated")
    assert repr(layer).startswith(
        "HierarchicalUOTPAggregation(6, poolings=[MeanAggregation(), MaxAggregation()],"
        " weights=GatedWeights"
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("native", [True, False])
def test_half_precision_is_rounded_once(dtype: torch.dtype, native: bool) -> None:
    poolings = ["mean", "sum", "std", UOTPAggregation(6), Mapped(6)]
    layer = HierarchicalUOTPAggregation(6, poolings, alpha0=0.2, alpha2=1.0)
    x = (4 * nodes()).to(dtype)
    with patch.object(ops, "AVAILABLE", native and ops.AVAILABLE):
        expected = copy.deepcopy(layer).double()(x.double(), INDEX)
        found = layer.to(dtype)(x, INDEX)
    assert found.dtype == dtype
    rounding = torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=rounding, atol=1e-6)


class Mapped(MeanAggregation):
    """A pooling with weights of its own, which computes in their type."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.map = Linear(channels, channels, bias=False)
        torch.nn.init.eye_(self.map.weight)

    def forward(self, x, index=None, ptr=None, dim_size=None, dim=-2):
        assert x.dtype == self.map.weight.dtype
        return super().forward(self.map(x), index, ptr, dim_size, dim)


def test_gradients_saturate_where_they_leave_half_precision() -> None:
    layer = HierarchicalUOTPAggregation.like("mixed", 6, size_power=1.0).half()
    x = nodes().half().requires_grad_()
    out = layer(x, INDEX)
    gradient = torch.full_like(out, 6e4)
    (found,) = torch.autograd.grad(out, x, gradient)
    assert found.isfinite().all()
    assert found.abs().max() == torch.finfo(torch.half).max


@pytest.mark.parametrize("native", [True, False])
def test_a_leading_axis_may_be_empty(native: bool) -> None:
    empty_axis(HierarchicalUOTPAggregation(6), native)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": "learned"}, r"'weights' must be one of \['gated', .*'learned'"),
        ({"node_prior": "attention"}, "'weights' are the node prior"),
        ({"poolings": []}, "'poolings' .*got none"),
        ({"poolings": "mean"}, "'poolings' must be a list .*got mean"),
        ({"poolings": MeanAggregation()}, "list .*got MeanAggregation"),
        ({"heads": 4}, "multiple of 'heads'"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HierarchicalUOTPAggregation(6, **arguments)


def test_unknown_poolings_are_named() -> None:
    with pytest.raises(ValueError, match=r"\['gated', 'mixed'\] .got 'tree'"):
        HierarchicalUOTPAggregation.like("tree", 6)


@pytest.mark.parametrize("name", ["mixed", "gated"])
def test_poolings_a_solver_does_not_reach_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is not reached by solver='badmm'"):
        HierarchicalUOTPAggregation.like(
            name, 6, solver="badmm", regularizer="quadratic"
        )


def test_poolings_of_another_width_are_named() -> None:
    layer = HierarchicalUOTPAggregation(6, ["mean", Set2Set(6, 2)])
    with pytest.raises(ValueError, match=r"6 channels .got 12 from Set2Set"):
        layer(nodes(), INDEX.sort().values)


@pytest.mark.parametrize("given", ["attentional", "lstm", Linear(6, 6)], ids=str)
def test_what_is_no_pooling_of_a_number_of_channels_is_named(given) -> None:
    named = given if isinstance(given, str) else "names or aggregations .got Linear"
    with pytest.raises(ValueError, match=named):
        HierarchicalUOTPAggregation(6, ["mean", given])


def test_weights_of_another_shape_are_named() -> None:
    class Three(Module):
        def forward(self, nodes, segments):
            return nodes.new_zeros(segments.num_sets, 3, 1)

    layer = HierarchicalUOTPAggregation(6, weights=Three())
    with pytest.raises(ValueError, match=r"'weights' .* \(7, 2, 1\) \(got \(7, 3, 1\)"):
        layer(nodes(), INDEX, dim_size=7)


def test_the_axis_of_the_channels_is_refused() -> None:
    layer = HierarchicalUOTPAggregation(3)
    with pytest.raises(ValueError, match="'dim' must not be the axis of the channels"):
        layer(torch.randn(3, 3), torch.tensor([0, 0, 1]), dim=-1)
