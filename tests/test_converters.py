import math
from inspect import signature

import pytest
import torch
from torch.nn import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    BatchNorm1d,
    Dropout,
    Linear,
    Module,
    Sequential,
    Tanh,
)
from torch_geometric.nn import MLP
from torch_geometric.nn.aggr import (
    AttentionalAggregation,
    MaxAggregation,
    MeanAggregation,
    MedianAggregation,
    PowerMeanAggregation,
    SoftmaxAggregation,
    SumAggregation,
    VariancePreservingAggregation,
)

from torch_geometric_uotp import NormalisedScores, UOTPAggregation
from torch_geometric_uotp.converters import convert

CHANNELS = 6
INDEX = torch.tensor([2, 0, 0, 2, 4, 0, 2, 2, 1, 2])


def softmax(*t: float) -> SoftmaxAggregation:
    module = SoftmaxAggregation(learn=True, channels=len(t))
    with torch.no_grad():
        module.t.copy_(torch.tensor(t))
    return module


POOLINGS = {
    "mean": MeanAggregation(),
    "sum": SumAggregation(),
    "max": MaxAggregation(),
    "variance preserving": VariancePreservingAggregation(),
    "power mean": PowerMeanAggregation(),
    "softmax": SoftmaxAggregation(t=3.0),
    "semi-gradient": SoftmaxAggregation(t=3.0, semi_grad=True),
    "learned": softmax(2.5),
    "per channel": softmax(0.0, 0.3, 1.0, 2.0, 9.0, 0.01),
    "attention": AttentionalAggregation(Linear(CHANNELS, 1)),
    "attention by an MLP": AttentionalAggregation(MLP([CHANNELS, 4, 1]).eval()),
    "attention per channel": AttentionalAggregation(
        Sequential(Linear(CHANNELS, 8), BatchNorm1d(8), Tanh(), Linear(8, CHANNELS))
    ).eval(),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", POOLINGS)
def test_equals_the_module(name: str, dtype: torch.dtype) -> None:
    module = POOLINGS[name].to(dtype)
    x = torch.randn(INDEX.numel(), CHANNELS, dtype=dtype)
    layer = convert(module, CHANNELS)
    found, expected = (m(x, INDEX, dim_size=6) for m in (layer, module))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    module.float()


@pytest.mark.parametrize("name", POOLINGS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    layer = convert(POOLINGS[name], CHANNELS)
    layer(torch.randn(INDEX.numel(), CHANNELS), INDEX).square().sum().backward()
    parameters = dict(layer.named_parameters())
    assert parameters
    assert all(parameter.grad is not None for parameter in parameters.values())


@pytest.mark.parametrize("size", [1, (1, 1), [1, 1]])
@pytest.mark.parametrize("kind", [AdaptiveAvgPool2d, AdaptiveMaxPool2d])
def test_equals_a_pooling_of_images(kind, size) -> None:
    module, x = kind(size), torch.randn(3, CHANNELS, 4, 5)
    layer = convert(module, CHANNELS, heads=2)
    torch.testing.assert_close(layer(x), module(x), rtol=1e-6, atol=1e-6)


def test_gates_are_taken_over() -> None:
    module = POOLINGS["attention"]
    assert convert(module, CHANNELS).node_prior is module.gate_nn


def test_a_gate_is_tried_without_a_trace() -> None:
    gate = Sequential(BatchNorm1d(CHANNELS), Dropout().eval(), Linear(CHANNELS, 1))
    convert(AttentionalAggregation(gate), CHANNELS)
    assert [module.training for module in gate.modules()] == [True, True, False, True]
    assert gate[0].num_batches_tracked == 0


ARGUMENTS = {
    "solver": {"solver": "badmm"},
    "num_steps": {"num_steps": 1},
    "regularizer": {"solver": "badmm", "regularizer": "quadratic"},
    "heads": {"heads": 2},
    "alpha0": {"alpha0": 2.0},
    "alpha1": {"alpha1": 0.7},
    "alpha2": {"alpha2": 0.7},
    "rho": {"solver": "badmm", "rho": 0.1},
    "learn": {"learn": False},
    "share_steps": {"share_steps": False, "learn": False},
    "node_prior": {"node_prior": "attention"},
    "channel_prior": {"channel_prior": torch.arange(1.0, CHANNELS + 1)},
    "scores": {"scores": NormalisedScores(CHANNELS)},
    "normalize": {"normalize": False},
    "size_power": {"size_power": 1.0},
    "tol": {"tol": 1e-8},
    "max_steps": {"tol": 1e-8, "max_steps": 9},
}
REFUSED = {
    "mean": "alpha0 node_prior normalize size_power",
    "sum": "alpha0 node_prior normalize size_power",
    "variance preserving": "alpha0 node_prior normalize size_power",
    "max": "alpha0 alpha2 scores normalize size_power",
    "softmax": "alpha0 alpha2 scores normalize size_power solver regularizer rho",
    "per channel": "alpha0 alpha2 scores normalize size_power solver regularizer rho "
    "heads",
    "attention": "alpha0 alpha2 node_prior channel_prior normalize size_power "
    "regularizer",
    "attention per channel": "alpha0 alpha2 node_prior channel_prior normalize "
    "size_power regularizer heads",
}


def equal_on_nodes(layer: UOTPAggregation, module: Module) -> None:
    x = torch.randn(INDEX.numel(), CHANNELS)
    found, expected = layer(x, INDEX, dim_size=6), module(x, INDEX, dim_size=6)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("argument", list(signature(UOTPAggregation).parameters)[1:])
def test_arguments_leave_the_pooling_or_are_refused(name: str, argument: str) -> None:
    module, arguments = POOLINGS[name], ARGUMENTS[argument]
    if argument in REFUSED[name].split():
        with pytest.raises(ValueError, match="|".join(arguments)):
            convert(module, CHANNELS, **arguments)
    else:
        equal_on_nodes(convert(module, CHANNELS, **arguments), module)


TOGETHER = {
    "mean": "alpha1 alpha2 heads channel_prior scores",
    "sum": "alpha1 alpha2 heads channel_prior scores",
    "max": "alpha1 heads channel_prior node_prior",
    "attention": "alpha1 heads scores",
    "softmax": "alpha1 heads channel_prior node_prior",
}


@pytest.mark.parametrize("name", TOGETHER)
@pytest.mark.parametrize("solver", ["num_steps", "solver", "regularizer", "tol"])
def test_free_arguments_together(name: str, solver: str) -> None:
    if solver in REFUSED[name].split():
        pytest.skip("not reached in a finite number of steps")
    arguments = dict(ARGUMENTS[solver])
    for argument in TOGETHER[name].split():
        arguments |= ARGUMENTS[argument]
    layer = convert(POOLINGS[name], CHANNELS, **arguments)
    equal_on_nodes(layer, POOLINGS[name])
    layer(torch.randn(INDEX.numel(), CHANNELS), INDEX).sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


@pytest.mark.parametrize("power", [None, 0.0, torch.zeros(2)])
def test_a_size_power_of_0_is_free(power: float | torch.Tensor | None) -> None:
    module = POOLINGS["mean"]
    equal_on_nodes(convert(module, CHANNELS, heads=2, size_power=power), module)


@pytest.mark.parametrize("name", ["mean", "sum", "max", "attention"])
@pytest.mark.parametrize("solver", ["sinkhorn", "badmm"])
@pytest.mark.parametrize("alpha", [0.0, math.inf])
def test_free_weights_may_be_at_their_ends(name, solver, alpha) -> None:
    free = {"alpha1": alpha, "alpha2": alpha}
    if name in ("max", "attention"):
        del free["alpha2"]
    layer = convert(POOLINGS[name], CHANNELS, solver=solver, heads=2, **free)
    equal_on_nodes(layer, POOLINGS[name])


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        (MeanAggregation(), {"alpha0": 1.0}, "'alpha0' must be left out"),
        (MaxAggregation(), {"alpha2": 1.0}, "'alpha2' must be left out"),
        (SumAggregation(), {"size_power": 0.0}, "'size_power' must be left out"),
        (softmax(*range(6)), {"heads": 2}, "'heads' must be left out"),
        (POOLINGS["attention"], {"node_prior": "uniform"}, "'node_prior' must be left"),
        (MedianAggregation(), {}, "no layer equals Median.* known are .*Attentional"),
        (AdaptiveAvgPool2d(2), {}, "one pixel .got AdaptiveAvgPool2d"),
        (AdaptiveAvgPool2d((1, None)), {}, "one pixel .got AdaptiveAvgPool2d"),
        (AdaptiveMaxPool2d(1, return_indices=True), {}, "one pixel .got AdaptiveMax"),
        (AdaptiveMaxPool2d(1), {"alpha0": 1.0}, "'alpha0' must be left out"),
        (AdaptiveAvgPool2d(1), {"size_power": 1.0}, "'size_power' must be left out"),
        (
            MeanAggregation(),
            {"num_step": 3},
            "'num_step' must .* free are .*'num_steps",
        ),
        (PowerMeanAggregation(p=2.0), {}, "power of 1 only .got 2.0"),
        (PowerMeanAggregation(learn=True), {}, "power of 1 only .got Param"),
        (softmax(1.0, -0.5), {}, "must not be negative .got -0.5"),
        (softmax(1.0, 2.0), {}, "one inverse temperature or 6.*got 2"),
        (SoftmaxAggregation(), {"solver": "badmm"}, "not reached by solver='badmm'"),
        (
            AttentionalAggregation(Linear(6, 1), Linear(6, 6)),
            {},
            "must weigh what its gate reads",
        ),
        (AttentionalAggregation(Linear(6, 2)), {}, r"1 or 6 values .got 2"),
        (
            AttentionalAggregation(MLP([6, 4, 1], norm="graph_norm")),
            {},
            "each node alone",
        ),
    ],
)
def test_what_has_no_equal_is_named(module, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convert(module, CHANNELS, **arguments)
