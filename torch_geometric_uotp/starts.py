r"""A start that is several poolings at once."""

from typing import Any

import torch

# Nearly a mean, times the size of the set; the layer's own start; and two sharper.
ALPHA0 = (20.0, 1.0, 0.5, 0.125)
SIZE_POWER = (1.0, 0.0, 0.0, 0.0)
# alpha2 / alpha0, that of the layer's own start.
RATIO = 9.0


def spread(**kwargs: Any) -> dict[str, Any]:
    r"""The arguments of a UOTP layer whose channels are pooled in four ways.

    Each quarter of the channels is a head: the first starts close to a sum, the
    others at ever smaller :math:`\alpha_0` on the way from a mean to a maximum,
    and what feeds the layer learns which channels to use. Each has a node prior of
    attention, so that it can learn to leave nodes out.

    Args:
        **kwargs (optional): Further arguments, which take precedence.
    """
    alpha0 = torch.tensor(ALPHA0, dtype=torch.float64, device="cpu")
    start = {
        "heads": len(ALPHA0),
        "alpha0": alpha0,
        "alpha1": alpha0,
        "alpha2": RATIO * alpha0,
        "size_power": torch.tensor(SIZE_POWER, dtype=torch.float64, device="cpu"),
        "node_prior": "attention",
    }
    return start | kwargs
