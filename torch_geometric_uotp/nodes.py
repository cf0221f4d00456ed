r"""What aggregations are given and return: nodes along any axis, and sets."""

import torch
from torch import Tensor

from torch_geometric_uotp.arguments import check_features


def nodes_first(x: Tensor, dim: int, channels: int) -> Tensor:
    """Nodes along ``dim`` moved to the front, [N, *, F].

    Raises:
        ValueError: If they are no dense tensor of floating-point type, have another
            number of channels than F, or lie along the axis of the channels.
    """
    check_features("x", x)
    if x.dim() < 2:
        raise ValueError(f"'x' must be of shape [*, N, F] (got {tuple(x.shape)})")
    if x.size(-1) != channels:
        raise ValueError(
            f"'x' must have {channels} channels in its last axis (got {x.size(-1)})"
        )
    if dim in (-1, x.dim() - 1):
        raise ValueError(
            f"'dim' must not be the axis of the channels, the last one (got {dim})"
        )
    # Every view is a node of the graph, which a small batch pays for twice.
    return x if dim in (0, -x.dim()) else x.movedim(dim, 0)


def unshared(pooled: Tensor) -> Tensor:
    """The same values, in a tensor that is no view of another.

    A caller may change it in place, and hooks on it stay: sharded training hangs the
    gathering of parameters on the outputs of a layer.
    """
    if torch.compiler.is_compiling() or not pooled.requires_grad:
        return pooled
    return pooled if pooled._base is None else pooled.clone()
