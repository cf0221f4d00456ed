r"""Conventional poolings as settings of the transport problem."""

import math
from typing import Any

import torch

from torch_geometric_uotp.arguments import check_choice

# With these alphas the optimum is the pooling itself, not an approximation: no
# regulariser (alpha0 = 0) selects, nothing but the regulariser (infinite
# alpha0) spreads, and an infinite alpha2 imposes the node prior.
SETTINGS: dict[str, dict[str, Any]] = {
    "mean": {"alpha0": math.inf, "alpha1": math.inf, "alpha2": math.inf},
    "sum": {
        "alpha0": math.inf,
        "alpha1": math.inf,
        "alpha2": math.inf,
        "size_power": 1.0,
    },
    "max": {"alpha0": 0.0, "alpha1": math.inf, "alpha2": 0.0},
    "attention": {
        "alpha0": math.inf,
        "alpha1": math.inf,
        "alpha2": math.inf,
        "node_prior": "attention",
    },
    "softmax": {"alpha0": 1.0, "alpha1": 1.0, "alpha2": 0.0},
}

# Arguments that may take any value without a pooling changing. How a problem is
# solved does not matter, nor does the weight of the channel prior: each channel's
# average is over its own share of the mass.
COMMON = frozenset(
    {
        "alpha1",
        "heads",
        "learn",
        "max_steps",
        "num_steps",
        "regularizer",
        "rho",
        "share_steps",
        "solver",
        "tol",
    }
)
# At alpha0 infinite scores have no weight, and a uniform node prior is the plan's
# anyway; at alpha2 = 0 a node prior does nothing but leave nodes out. A channel prior
# other than the uniform one slows BADMM on its way to attention.
FREE: dict[str, frozenset[str]] = {
    "mean": COMMON | {"alpha2", "channel_prior", "scores"},
    "sum": COMMON | {"alpha2", "channel_prior", "scores"},
    "max": COMMON | {"channel_prior", "node_prior"},
    "attention": COMMON | {"scores"},
    "softmax": COMMON | {"channel_prior", "node_prior"},
}

UNREACHED = {
    ("softmax", "badmm", "entropy"),
    ("softmax", "badmm", "quadratic"),
    ("attention", "badmm", "quadratic"),
    ("mixed", "badmm", "quadratic"),
    ("gated", "badmm", "quadratic"),
}


def setting(name: str, **kwargs: Any) -> dict[str, Any]:
    """The arguments that make a UOTP layer a conventional pooling.

    Args:
        name (str): One of ``mean``, ``max``, ``sum``, ``attention``, ``softmax``.
        **kwargs (optional): Further arguments, which take precedence.

    Raises:
        ValueError: If there is no such pooling here, or the solver does not
            reach it in a finite number of steps.
    """
    check_choice("name", name, SETTINGS)
    check_reached(name, **kwargs)
    return SETTINGS[name] | kwargs


def check_reached(
    name: str,
    solver: str = "sinkhorn",
    regularizer: str = "entropy",
    **kwargs: Any,
) -> None:
    """Check that a layer of these arguments can be a conventional pooling.

    Raises:
        ValueError: If its solver does not reach it in a finite number of steps.
    """
    if (name, solver, regularizer) in UNREACHED:
        raise ValueError(
            f"'{name}' is not reached by solver='{solver}' with regularizer="
            f"'{regularizer}' in a finite number of steps; Sinkhorn reaches it"
        )


def keeps(name: str, argument: str, value: Any) -> bool:
    """Whether a layer that is a pooling stays it with a further argument."""
    if argument == "size_power" and argument not in SETTINGS[name]:
        return value is None or not bool(torch.as_tensor(value).any())
    return argument in FREE[name]
