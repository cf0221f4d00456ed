"""This package's layers, each in the settings that take a path of their own."""

from typing import Any

from torch.nn import Linear

from tests.conformance.case import Case
from torch_geometric_uotp import (
    HierarchicalUOTPAggregation,
    ROTPAggregation,
    UOTPAggregation,
)
from torch_geometric_uotp.scores import NormalisedScores


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


def _structural(name: str, **kwargs: Any) -> Case:
    """In fewer steps, since compiling takes as long as there are steps."""
    return Case(name, lambda channels: ROTPAggregation(channels, num_steps=2, **kwargs))


def _hierarchical(name: str, **kwargs: Any) -> Case:
    return Case(
        name,
        lambda channels: HierarchicalUOTPAggregation(channels, num_steps=2, **kwargs),
    )


# To decide that a set is solved takes looking at its values.
UNTIL_SOLVED = dict.fromkeys(
    ("transforming", "forward_mode", "functionalizing"),
    "is refused: torch.func needs 'num_steps'",
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
    _case("UOTP Sinkhorn to a tolerance", UNTIL_SOLVED, tol=1e-9, heads=2),
    _case("UOTP Sinkhorn fixed", learn=False, alpha0=0.1),
    _case("UOTP Sinkhorn unnormalised", UNNORMALIZED, normalize=False),
    _structural("ROTP Sinkhorn"),
    _structural("ROTP BADMM entropy per step", solver="badmm", share_steps=False),
    _structural(
        "ROTP BADMM quadratic 2 heads attention",
        solver="badmm",
        regularizer="quadratic",
        heads=2,
        node_prior="attention",
    ),
    _hierarchical("hierarchical UOTP gated", weights="gated"),
    Case(
        "hierarchical UOTP of UOTP",
        lambda channels: HierarchicalUOTPAggregation(
            channels,
            [
                UOTPAggregation(channels, num_steps=2),
                UOTPAggregation(channels, heads=2),
            ],
            num_steps=2,
            heads=2,
        ),
    ),
    Case(
        "hierarchical UOTP like mixed",
        lambda channels: HierarchicalUOTPAggregation.like("mixed", channels),
        at_bounds=("combine.coefficient.",),
    ),
    Case(
        "UOTP Sinkhorn of scores",
        lambda channels: UOTPAggregation(
            channels, scores=NormalisedScores(channels, mapped=True)
        ),
    ),
    Case(
        "UOTP Sinkhorn linear prior and scores",
        lambda channels: UOTPAggregation(
            channels,
            node_prior=Linear(channels, 1, bias=False),
            scores=Linear(channels, channels),
        ),
    ),
    Case(
        "UOTP spread",
        lambda channels: UOTPAggregation.spread(channels, num_steps=2),
        at_bounds=("size_scaling.",),
    ),
    *map(_like, ("mean", "max", "sum", "softmax", "attention")),
]
