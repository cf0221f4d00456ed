"""Layers in few words, and what they make of a batch."""

import math
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import Module, Parameter

from tests.properties.batches import Nodes
from torch_geometric_uotp import (
    HierarchicalUOTPAggregation,
    ROTPAggregation,
    UOTPAggregation,
    ops,
)

SOLVERS: dict[str, dict[str, Any]] = {
    "sinkhorn": {"solver": "sinkhorn"},
    "badmm": {"solver": "badmm"},
    "badmm quadratic": {"solver": "badmm", "regularizer": "quadratic"},
    "to a tolerance": {"tol": 1e-9},
}
UNROLLED = tuple(SOLVERS)[:3]
LAYERS = ("UOTP", "ROTP", "hierarchical")
Found = dict[str, Tensor]


class Logits(Module):
    """A node prior that is given node by node, and gets a gradient."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = Parameter(logits.clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.view(-1, *[1] * (x.dim() - 1))


@dataclass(frozen=True)
class Layer:
    """A layer in the words that a failure is told in; see its class for them."""

    kind: str
    solver: str
    heads: int
    num_steps: int
    alpha0: tuple[float, ...]
    alpha1: float
    alpha2: float
    learn: bool
    share_steps: bool
    normalize: bool

    def build(self, channels: int, logits: Tensor) -> Module:
        """The layer itself, with a node prior of these logits, [N, 1]."""
        prior = Logits(logits)
        if self.kind == "UOTP":
            return UOTPAggregation(channels, node_prior=prior, **self._arguments())
        if self.kind == "ROTP":
            return ROTPAggregation(channels, node_prior=prior, **self._arguments())
        poolings = [
            UOTPAggregation(channels, node_prior=prior, **self._arguments()),
            UOTPAggregation.like("max", channels, num_steps=1, node_prior=prior),
        ]
        return HierarchicalUOTPAggregation(channels, poolings, num_steps=2)

    def _arguments(self) -> dict[str, Any]:
        given = {
            **SOLVERS[self.solver],
            "heads": self.heads,
            "alpha0": torch.tensor(self.alpha0, dtype=torch.double),
            "alpha1": self.alpha1,
            "alpha2": self.alpha2,
            "learn": self.learn,
            "normalize": self.normalize,
        }
        if self.solver == "to a tolerance":
            return given
        return {**given, "num_steps": self.num_steps, "share_steps": self.share_steps}

    def moving(self, nodes: Nodes) -> Module:
        """The layer in the type of the nodes."""
        return self.build(nodes.x.size(1), nodes.logits).to(nodes.x.dtype)

    def sharpness(self) -> Tensor:
        """The t of each head, infinite at alpha0 = 0."""
        return torch.tensor(self.alpha0, dtype=torch.double).reciprocal()


def solved(
    layer: Layer, nodes: Nodes, native: bool = True, exact: bool = False
) -> Found:
    """The output, and the gradients of features, prior and coefficients.

    Args:
        layer: In the type of the nodes.
        nodes: The batch.
        native: Whether the library may run.
        exact: Whether to compute the same numbers in float64.
    """
    module = layer.moving(nodes)
    if exact:
        module, nodes = module.double(), nodes.to(torch.double)
    x = nodes.x.clone().requires_grad_()
    with patch.object(ops, "AVAILABLE", native and ops.AVAILABLE):
        out = module(x, **nodes.layout())
        named = dict(module.named_parameters())
        given = torch.autograd.grad(
            out,
            [x, *named.values()],
            nodes.weight,
            materialize_grads=True,
            allow_unused=True,
        )
    gradients = dict(zip(["x", *named], given, strict=True))
    (prior,) = (name for name in named if name.endswith("node_prior.logits"))
    gradients["logits"] = gradients.pop(prior)
    return {"output": out.detach(), **gradients}


OF_NODES = ("output", "x", "logits")


def of_coefficients(found: Found) -> Found:
    """The gradients of what all sets share."""
    return {name: grad for name, grad in found.items() if name not in OF_NODES}


# Powers of ten, exact limits, and what lies between.
WEIGHTS = st.one_of(
    st.sampled_from((1.0, 0.0, math.inf, 9.0)),
    st.integers(-3, 3).map(lambda power: 10.0**power),
    st.floats(0.01, 100),
)
NORMALIZE = st.sampled_from((True, True, False))


@st.composite
def layers(
    draw: st.DrawFn,
    channels: int,
    kinds: tuple[str, ...] = LAYERS,
    solvers: tuple[str, ...] = tuple(SOLVERS),
    alpha0: st.SearchStrategy[float] = WEIGHTS,
    normalize: st.SearchStrategy[bool] = NORMALIZE,
) -> Layer:
    """Any layer and solver, coefficients from 0 to infinity."""
    kind = draw(st.sampled_from((*kinds[:1], *kinds)))
    allowed = [name for name in solvers if kind != "ROTP" or name in UNROLLED]
    heads = draw(st.sampled_from([n for n in (1, 2, 3, 4) if channels % n == 0]))
    sharp = tuple(draw(alpha0) for _ in range(heads))
    return Layer(
        kind=kind,
        solver=draw(st.sampled_from(allowed)),
        heads=heads,
        num_steps=draw(st.integers(1, 3 if kind == "ROTP" else 6)),
        alpha0=sharp,
        alpha1=draw(WEIGHTS),
        alpha2=draw(WEIGHTS),
        learn=draw(st.booleans()),
        share_steps=0.0 in sharp or draw(st.booleans()),
        normalize=draw(normalize),
    )
