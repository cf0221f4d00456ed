"""States of every kind of layer, kept in tests/states, with what the layers gave.

Each later version must load them and give the same (``test_stored_states.py``).
``python -m tests.stored_states`` stores those of the kinds below that have no file
yet; a file is never written anew, since it says what a version has promised.
"""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from torch_geometric_uotp import (
    HierarchicalUOTPAggregation,
    ROTPAggregation,
    UOTPAggregation,
    UOTPPool2d,
)

FOLDER = Path(__file__).with_name("states")
INDEX = torch.tensor([2, 0, 0, 2, 4, 0, 2, 2, 1, 2])
STEPS = {"num_steps": 3, "share_steps": False}
HEADS = {"heads": 2, "alpha0": torch.tensor([0.5, 2.0])}
QUADRATIC = {"solver": "badmm", "regularizer": "quadratic"}
PRIOR = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])


def uotp(**kwargs: Any) -> Module:
    return UOTPAggregation(8, **kwargs)


def fixed(**kwargs: Any) -> Module:
    return UOTPAggregation(8, learn=False, alpha1=0.3, alpha2=5.0, **kwargs)


KINDS = {
    "sinkhorn": lambda: uotp(),
    "sinkhorn_fixed": lambda: fixed(**HEADS),
    "sinkhorn_steps": lambda: uotp(**STEPS),
    "sinkhorn_steps_fixed": lambda: fixed(**STEPS),
    "sinkhorn_unnormalised": lambda: uotp(normalize=False, channel_prior=PRIOR),
    "badmm": lambda: uotp(solver="badmm", **HEADS),
    "badmm_fixed": lambda: fixed(solver="badmm", rho=2.0),
    "badmm_steps": lambda: uotp(solver="badmm", **STEPS),
    "quadratic": lambda: uotp(**QUADRATIC),
    "quadratic_fixed": lambda: fixed(**QUADRATIC, **HEADS),
    "tol": lambda: uotp(tol=1e-8),
    "tol_fixed": lambda: fixed(tol=1e-8, **HEADS),
    "maximum": lambda: UOTPAggregation.like("max", 8, heads=2),
    "maximum_fixed": lambda: fixed(alpha0=0.0),
    "sum_fixed": lambda: UOTPAggregation.like("sum", 8, learn=False),
    "spread": lambda: UOTPAggregation.spread(8),
    "rotp": lambda: ROTPAggregation(8, heads=2),
    "rotp_fixed": lambda: ROTPAggregation(8, learn=False, alpha_s=3.0),
    "mixed": lambda: HierarchicalUOTPAggregation.like("mixed", 8),
    "gated": lambda: HierarchicalUOTPAggregation.like("gated", 8, learn=False),
    "images": lambda: UOTPPool2d(8, size_power=0.5),
}


def pooled(layer: Module, x: Tensor) -> Tensor:
    if isinstance(layer, UOTPPool2d):
        return layer(x)
    return layer(x, INDEX, dim_size=6)


def store(name: str) -> None:
    """Store the state of a layer, what it was given and what it gave."""
    torch.manual_seed(math.comb(len(name), 2))
    layer = KINDS[name]()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    shape = (2, 8, 3, 3) if isinstance(layer, UOTPPool2d) else (10, 8)
    x = torch.randn(shape)
    with torch.no_grad():
        entry = {"state": layer.state_dict(), "x": x, "pooled": pooled(layer, x)}
    torch.save(entry, FOLDER / f"{name}.pt")


if __name__ == "__main__":
    for kind in KINDS:
        if not (FOLDER / f"{kind}.pt").exists():
            store(kind)
