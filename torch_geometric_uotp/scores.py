r"""Scores of the transport that are not the features themselves."""

import torch
from torch import Tensor
from torch.nn import LayerNorm, Linear, Module
from torch.nn.functional import layer_norm

from torch_geometric_uotp.arguments import (
    check_count,
    check_features,
    check_flag,
)
from torch_geometric_uotp.bounded import bound_gradient, limited
from torch_geometric_uotp.precision import (
    Promoting,
    applied,
    linear_in_type,
    promote,
)


class NormalisedScores(Promoting):
    r"""Features, or a linear map of them, normalised in each node.

    These are :math:`\mathrm{LN}(x_n)` or :math:`\mathrm{LN}(W x_n)` with the
    normalisation of `"Layer Normalization" <https://arxiv.org/abs/1607.06450>`_,
    so that no node stands out by its norm alone. They are computed in the type
    of x, whatever that of the weights.

    No node spoils the weights for the others: features count as :math:`10^{15}` at
    most (in float32) and NaN as 0, so that their squares and sums of those are
    finite, and the gradient of a score as :math:`10^{12}` at most.

    Args:
        channels (int): F.
        mapped (bool): Whether W is there, of shape [F, F]. (default: :obj:`False`)

    Raises:
        ValueError: If an argument is not as above.
    """

    def __init__(self, channels: int, mapped: bool = False) -> None:
        super().__init__()
        check_count("channels", channels)
        check_flag("mapped", mapped)
        self.map = Linear(channels, channels, bias=False) if mapped else None
        self.norm = LayerNorm(channels)

    def reset_parameters(self) -> None:
        """Draw a new map, and normalise to unit variance."""
        if self.map is not None:
            self.map.reset_parameters()
        self.norm.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Return scores of shape [..., F] for nodes x of shape [..., F].

        Raises:
            ValueError: If x is not of that shape and of floating-point type.
        """
        check_features("x", x)
        if x.dim() == 0 or x.size(-1) != self.norm.normalized_shape[0]:
            raise ValueError(
                f"'x' must have {self.norm.normalized_shape[0]} channels in its last "
                f"axis (got shape {tuple(x.shape)})"
            )
        x = limited(x)
        if self.map is not None:
            x = limited(linear_in_type(self.map, x))
        weight = promote(self.norm.weight, x.dtype)
        bias = promote(self.norm.bias, x.dtype)
        # Weighed apart: layer_norm's gradient of weights depends on the threads.
        normalised = layer_norm(x, self.norm.normalized_shape, eps=self.norm.eps)
        return bound_gradient(normalised * weight + bias)

    def __repr__(self) -> str:
        return "LN(x)" if self.map is None else "LN(Wx)"


def checked_scores(scores: Module | None) -> Module | None:
    """The module given, if it is one.

    Raises:
        ValueError: If it is something else.
    """
    if scores is not None and not isinstance(scores, Module):
        raise ValueError(f"'scores' must be a module (got {scores!r})")
    return scores


def scored(scores: Module, nodes: Tensor, dtype: torch.dtype) -> Tensor:
    """What a layer's map of scores makes of nodes [N, *, F], in a type.

    Raises:
        ValueError: If it is not of the same shape.
    """
    found = applied(scores, nodes, dtype)
    if found.shape != nodes.shape:
        raise ValueError(
            f"'scores' must map nodes of shape {tuple(nodes.shape)} to the same shape "
            f"(got {tuple(found.shape)})"
        )
    return found
