"""How far rounding may take a result, from what the problem makes of it.

A solver takes exponentials of numbers as large as t |x| and the log priors, the
*reach*. Rounded, they are wrong by eps times the reach, and so, relatively, are all
weights.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tests.properties.batches import Nodes
from tests.properties.layers import Found, Layer

# Roundings of that size one after another: a sum of thousands in a few blocks, and
# the steps of a solver.
ROUNDINGS = 32
# Where sets are solved until their residual is 1e-9, how far that may leave them from
# the solution.
UNSOLVED = 1e-6


@dataclass(frozen=True)
class Tolerances:
    """Of a layer on a batch, each for every channel.

    Args:
        output: Of shape [F].
        x: Of the gradient of the features, of shape [F].
        logits: Of the gradient of the node prior, a number.
        coefficients: Of their gradients, a number.
    """

    output: Tensor
    x: Tensor
    logits: float
    coefficients: float

    def of(self, name: str) -> Tensor | float:
        """Of an entry of what was found."""
        if name in ("output", "x", "logits"):
            found: Tensor | float = getattr(self, name)
            return found
        return self.coefficients


def finite_size(x: Tensor) -> float:
    """The largest number but for infinities."""
    kept = x.double().nan_to_num(0, 0, 0).abs()
    return float(kept.max()) if kept.numel() else 0.0


def tolerances(layer: Layer, nodes: Nodes, dtype: torch.dtype) -> Tolerances:
    """What computing in a type may cost, against the same in a much wider one."""
    channels = nodes.x.size(1) // layer.heads
    size, weight = finite_size(nodes.x), finite_size(nodes.weight)
    sharp = layer.sharpness()
    reach = _reach(layer, sharp, size, finite_size(nodes.logits))
    error = torch.finfo(dtype).eps * ROUNDINGS * (1 + reach)
    if layer.kind == "ROTP":
        # The second problem depends on the plan of the first, by t alpha_s.
        error = error * (1 + sharp)
    if layer.kind == "hierarchical":
        # What was pooled is pooled once more, with t = 1.
        error = error * (1 + size)
    if layer.solver == "to a tolerance":
        error = error + UNSOLVED
    if not layer.normalize:
        error = error * channels
    # A result at infinite t may jump from one node to another.
    error = error.nan_to_num(torch.inf, posinf=torch.inf)
    # The derivative of a weight is t times the weight, so t |x| counts once more.
    slope = (error * (1 + reach)).nan_to_num(torch.inf, posinf=torch.inf)
    each = error.repeat_interleave(channels)
    total = weight * max(1, nodes.weight.numel()) * max(size, 1e-300)
    return Tolerances(
        output=size * each,
        x=weight * slope.repeat_interleave(channels),
        logits=total * float(slope.max()),
        # They are stored as points u / 4 of [0, 1], and t = u / (1 - u).
        coefficients=total * float((slope * 4 * (1 + sharp) ** 2).max()),
    )


def _reach(layer: Layer, sharp: Tensor, size: float, prior: float) -> Tensor:
    exponent = sharp * size
    if layer.solver == "sinkhorn" and layer.alpha2 == 0 and layer.kind != "ROTP":
        # The maximum, which is not rounded.
        exponent = exponent.masked_fill(sharp == torch.inf, 0)
    reach = exponent.nan_to_num(torch.inf, posinf=torch.inf) + prior + 10
    # The dual variable grows with the steps.
    return reach * (1 if layer.solver == "sinkhorn" else layer.num_steps)


def allowed_half(exact: Found, dtype: torch.dtype, name: str) -> Tensor:
    """One rounding of a result to half precision, up to its least number."""
    info = torch.finfo(dtype)
    return exact[name].abs() * info.eps + info.smallest_normal * info.eps
