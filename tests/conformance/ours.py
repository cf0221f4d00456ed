"""This package's layers, each in the settings that take a path of their own."""

from typing import Any

from tests.conformance.case import Case
from torch_geometric_uotp import UOTPAggregation


def _case(name: str, exempt: dict[str, str] | None = None, **kwargs: Any) -> Case:
    return Case(
        name, lambda channels: UOTPAggregation(channels, **kwargs), exempt or {}
    )


def _like(name: str) -> Case:
    return Case(
        f"UOTP like {name}",
        lambda channels: UOTPAggregation.like(name, channels),
        at_bounds=("coefficient.", "size_scaling."),
    )


UNNORMALIZED = {
    "single_node": "gives the channel's share of the mass times the node by definition"
}

SINKHORN = _case("UOTP Sinkhorn")
BADMM_ENTROPY = _case("UOTP BADMM entropy", solver="badmm")
BADMM_QUADRATIC = _case("UOTP BADMM quadratic", solver="badmm", regularizer="quadratic")

CASES = [
    SINKHORN,
    BADMM_ENTROPY,
    BADMM_QUADRATIC,
    _case("UOTP Sinkhorn per step", share_steps=False),
    _case("UOTP Sinkhorn 2 heads", heads=2),
    _case("UOTP BADMM 2 heads per step", solver="badmm", heads=2, share_steps=False),
    _case("UOTP Sinkhorn attention prior", node_prior="attention"),
    _case("UOTP BADMM attention prior", solver="badmm", node_prior="attention"),
    _case("UOTP Sinkhorn fixed", learn=False, alpha0=0.1),
    _case("UOTP Sinkhorn unnormalised", UNNORMALIZED, normalize=False),
    *map(_like, ("mean", "max", "sum", "softmax", "attention")),
]
