r"""Which conventional pooling a layer is close to."""

from collections.abc import Callable

import torch
from torch import Tensor

from torch_geometric_uotp.aggr import UOTPAggregation
from torch_geometric_uotp.arguments import check_features, check_integer
from torch_geometric_uotp.modes import modes_kept
from torch_geometric_uotp.priors import UniformPrior
from torch_geometric_uotp.transforms import values_known

# Powers of ten between which the inverse temperature of a softmax is sought.
EXPONENTS = (-3.0, 3.0)


@torch.no_grad()
def nearest_pooling(
    layer: UOTPAggregation,
    x: Tensor,
    index: Tensor | None = None,
    ptr: Tensor | None = None,
    dim_size: int | None = None,
    head: int | None = None,
) -> dict[str, float]:
    r"""How far a layer's output is from each conventional pooling's, on given data.

    The distance of outputs F from those G of a pooling, over all sets and
    channels, is relative to the layer's: :math:`\|F - G\| / \|F\|`. Softmax is
    taken at the inverse temperature that comes nearest, and attention at the
    layer's node prior, if it is not uniform. The layer is looked at in evaluation
    mode, and left in its own.

    Args:
        layer (UOTPAggregation): The layer, as it is now.
        x (torch.Tensor): The nodes' features.
        index, ptr, dim_size: As in :meth:`UOTPAggregation.forward`.
        head (int, optional): The one head whose channels are compared.
            (default: all heads)

    Returns:
        Distances by name, nearest first: ``mean``, ``max``, ``sum``,
        ``softmax(t=...)``, and maybe ``attention``.

    Raises:
        ValueError: If the layer is another one, there is no such head, the input
            is not as the layer takes it, or there is no finite output to compare.
    """
    if not isinstance(layer, UOTPAggregation):
        raise ValueError(f"'layer' must be a UOTPAggregation (got {layer})")
    channels = _channels(layer, head)
    check_features("x", x)
    if x.numel() == 0:
        raise ValueError(f"'x' must hold a node at least (got shape {tuple(x.shape)})")
    if not values_known(x):
        raise ValueError(f"'x' must hold values (got a tensor on {x.device})")

    def pool(pooling: UOTPAggregation) -> Tensor:
        pooled: Tensor = pooling(x, index, ptr, dim_size)
        return pooled[..., channels].double()

    with modes_kept(layer):
        layer.eval()
        with x.device:
            return _distances(layer, pool)


def _distances(
    layer: UOTPAggregation, pool: Callable[[UOTPAggregation], Tensor]
) -> dict[str, float]:
    ours = pool(layer)
    if not bool(ours.isfinite().all()):
        raise ValueError("'x' must give a finite output (got NaN or infinity)")
    scale = ours.norm().clamp(min=torch.finfo(torch.double).tiny)

    def distance(pooling: UOTPAggregation) -> float:
        return float((ours - pool(pooling)).norm() / scale)

    def softmax(exponent: float) -> float:
        return distance(_like("softmax", layer, alpha0=10.0**-exponent))

    exponent = _minimise(softmax, *EXPONENTS)
    found = {f"softmax(t={10.0**exponent:.3g})": softmax(exponent)}
    found |= {name: distance(_like(name, layer)) for name in ("mean", "max", "sum")}
    if not isinstance(layer.node_prior, UniformPrior):
        prior = {"node_prior": layer.node_prior, "heads": layer.heads}
        found["attention"] = distance(_like("attention", layer, **prior))
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _channels(layer: UOTPAggregation, head: int | None) -> slice:
    if head is None:
        return slice(None)
    check_integer("head", head)
    if not 0 <= head < layer.heads:
        raise ValueError(f"'head' must be in [0, {layer.heads}) (got {head})")
    width = layer.channels // layer.heads
    return slice(head * width, (head + 1) * width)


def _like(name: str, layer: UOTPAggregation, **kwargs: object) -> UOTPAggregation:
    return UOTPAggregation.like(name, layer.channels, learn=False, **kwargs)


def _minimise(
    function: Callable[[float], float], low: float, high: float, tolerance: float = 1e-3
) -> float:
    """The place of a minimum, on ever finer grids around the best place so far."""
    step = (high - low) / 12
    best = min((low + step * i for i in range(13)), key=function)
    while step > tolerance:
        step /= 3
        near = (best + step * i for i in range(-2, 3))
        best = min((place for place in near if low <= place <= high), key=function)
    return best
