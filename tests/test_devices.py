"""Tensors on several devices are refused, before anything is computed."""

from collections.abc import Callable
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.nn import Linear, Module, Parameter, Sequential

from torch_geometric_uotp import (
    HierarchicalUOTPAggregation,
    ROTPAggregation,
    UOTPAggregation,
    UOTPPool2d,
    ops,
)
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.problem import Problem
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.solvers.sinkhorn import Sinkhorn

X, INDEX = torch.randn(5, 4), torch.tensor([0, 0, 1, 1, 1])
LAYERS: dict[str, Callable[[], UOTPAggregation]] = {
    "sinkhorn": lambda: UOTPAggregation(4),
    "badmm": lambda: UOTPAggregation(4, "badmm", heads=2),
    "tol": lambda: UOTPAggregation(4, tol=1e-6),
    "fixed": lambda: UOTPAggregation(4, learn=False),
    "max": lambda: UOTPAggregation.like("max", 4),
    "rotp": lambda: ROTPAggregation(4),
    "hierarchical": lambda: HierarchicalUOTPAggregation(4),
}
BACKENDS = pytest.mark.parametrize("native", [True, False])
BOTH = r"'{}' must be on the device of 'x' \(got {} and {}\): move one"


def message(name: str, given: str = "meta", other: str = "cpu") -> str:
    return BOTH.format(name, given, other)


@BACKENDS
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_a_layer_elsewhere_is_refused(make, native: bool) -> None:
    layer, x = make().to("meta"), X.clone().requires_grad_()
    with patch.object(ops, "AVAILABLE", native and ops.AVAILABLE):
        with pytest.raises(ValueError, match=r"on the device of 'x' \(got .*meta"):
            layer(x, INDEX)
        if isinstance(layer, UOTPAggregation):
            with pytest.raises(ValueError, match=message("coefficients")):
                layer.solve(x, INDEX)


PARTS: list[tuple[str, Callable[[], Module], str]] = [
    ("coefficient", lambda: UOTPAggregation(4), "'coefficients'"),
    ("size_scaling", lambda: UOTPAggregation(4, size_power=0.5), "'size_power'"),
    ("structure", lambda: ROTPAggregation(4), "'alpha_s'"),
    (
        "node_prior",
        lambda: UOTPAggregation(4, node_prior="attention"),
        "Linear",
    ),
    ("node_prior", lambda: UOTPAggregation(4, node_prior=Linear(4, 1)), "Linear"),
    ("scores", lambda: UOTPAggregation(4, scores=Linear(4, 4)), "Linear"),
    (
        "scores",
        lambda: UOTPAggregation(4, scores=Sequential(Linear(4, 4, bias=False))),
        "Linear",
    ),
    (
        "weights",
        lambda: HierarchicalUOTPAggregation(4, weights="gated"),
        "GatedWeights",
    ),
]


@BACKENDS
@pytest.mark.parametrize(("part", "make", "named"), PARTS, ids=[n for *_, n in PARTS])
def test_a_part_of_a_layer_elsewhere_is_refused(part, make, named, native) -> None:
    layer = make()
    getattr(layer, part).to("meta")
    with (
        patch.object(ops, "AVAILABLE", native and ops.AVAILABLE),
        pytest.raises(ValueError, match=rf"{named}.* of 'x' \(got meta and cpu\)"),
    ):
        layer(X, INDEX)


@BACKENDS
@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_what_a_call_is_given_must_be_with_x(make, native: bool) -> None:
    layer, ptr = make(), torch.tensor([0, 2, 5])
    away = X.to("meta"), INDEX.to("meta"), ptr.to("meta")
    with patch.object(ops, "AVAILABLE", native and ops.AVAILABLE):
        with pytest.raises(ValueError, match=message("index")):
            layer(X, away[1])
        with pytest.raises(ValueError, match=message("ptr")):
            layer(X, ptr=away[2])
        with pytest.raises(ValueError, match=message("index", "cpu", "meta")):
            layer(away[0], INDEX)


@BACKENDS
def test_priors_must_be_with_x(native: bool) -> None:
    prior = torch.ones(5, device="meta")
    layer = UOTPAggregation(4, channel_prior=torch.ones(4))
    with patch.object(ops, "AVAILABLE", native and ops.AVAILABLE):
        with pytest.raises(ValueError, match=message("node_prior")):
            layer(X, INDEX, node_prior=prior)
        prior = layer.channel_prior
        prior.log_p0 = prior.log_p0.to("meta")
        with pytest.raises(ValueError, match=message("channel_prior")):
            layer(X, INDEX)


def test_weights_may_come_as_a_module_is_called() -> None:
    scores = Linear(4, 4, bias=False)
    weight = scores.weight.detach().clone()
    layer = UOTPAggregation(4, scores=scores)
    expected = layer(X, INDEX)

    def bring(module: Linear, _: object) -> None:
        module.weight = Parameter(weight)

    scores.to("meta").register_forward_pre_hook(bring)
    assert layer(X, INDEX).equal(expected)


def test_the_layer_of_images_too() -> None:
    with pytest.raises(ValueError, match=message("coefficients")):
        UOTPPool2d(4).to("meta")(torch.randn(2, 4, 3, 3))


def test_a_problem_lies_on_one_device() -> None:
    segments, scores = Segments.from_index(INDEX, 2), X[:, None]
    table = Coefficients.from_alphas(1.0, 1.0, 1.0)
    float32 = Coefficients(table.t.float(), table.r_p.float(), table.r_q.float())
    for name, given in {
        "values": {"values": scores.to("meta")},
        "channel_prior": {"log_p0": torch.zeros(1, 4, device="meta")},
        "node_prior": {"log_q0": torch.zeros(5, 1, device="meta")},
    }.items():
        with pytest.raises((ValueError, RuntimeError), match=r"meta.*cpu"):
            Problem.create(scores, segments, float32, **given)
        assert name
    assert Sinkhorn()(Problem.create(scores, segments, float32)).pooled.isfinite().all()


@pytest.mark.skipif(not ops.AVAILABLE, reason="the library is not built")
@pytest.mark.parametrize("operator", [ops.SINKHORN, ops.BADMM], ids=lambda o: o.name)
def test_operators_refuse_tensors_on_two_devices(operator) -> None:
    tables = {name: torch.ones(1, 1) for name in ops.TABLES}
    named = {"x": X[:, None], "ptr": torch.tensor([0, 2, 5]), **tables}
    options = [3, 0.0, 0.0, *([False] if operator is ops.BADMM else [])]

    def run(named: dict[str, Tensor]) -> None:
        operator.forward(*(named.get(name) for name in operator.tensors), *options)

    run(named)
    for name in named.keys() & set(operator.tensors):
        with pytest.raises(ValueError, match=r"\(got (cpu and meta|meta and cpu)\)"):
            run({**named, name: named[name].to("meta")})
