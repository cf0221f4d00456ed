r"""The size of a set as a factor of its output."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from torch_geometric_uotp.arguments import check_device, table_of
from torch_geometric_uotp.bounded import spread
from torch_geometric_uotp.holder import (
    CoefficientHolder,
    fixed_dtype,
    in_type,
    table_dtype,
    taken,
)
from torch_geometric_uotp.projection import GAIN, UNIT, project


class SizeScaling(CoefficientHolder):
    r"""Multiply the output of a set of N nodes by :math:`N^s`.

    At s = 0 averages stay averages, at s = 1 they become sums. The power is
    held as
    :class:`~torch_geometric_uotp.parametrization.LearnedCoefficients` holds
    r_p and r_q: it moves at a model's learning rate and stays in [0, 1]. What was
    learned can be loaded where it does not learn, and the other way round.

    Args:
        power (float or torch.Tensor): Start (or value) of s: a number, or of
            shape [heads].
        channels (int): Channels of a head.
        heads (int): H.
        learn (bool): Whether s is a parameter, or a buffer.

    Raises:
        ValueError: If a power is not in [0, 1], or there are not H of them.
    """

    table: Tensor
    start: Tensor

    def __init__(
        self, power: float | Tensor, channels: int, heads: int, learn: bool
    ) -> None:
        super().__init__()
        self.channels = channels
        start = table_of("size_power", power)
        if start.dim() > 1 or start.numel() not in (1, heads):
            raise ValueError(
                f"'size_power' must be a number, or of shape ({heads},) (got shape "
                f"{tuple(start.shape)})"
            )
        if not bool(((start >= 0) & (start <= 1)).all()):
            raise ValueError(f"'size_power' must be from 0 to 1 (got {power})")
        self.start = start.detach().expand(heads)
        if learn:
            table = Parameter(torch.empty(heads, dtype=table_dtype()))
            self.register_parameter("table", table)
        else:
            self.register_buffer("table", torch.empty(heads, dtype=fixed_dtype()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Go back to the initial power."""
        with torch.no_grad():
            self.table.copy_(self.start / GAIN)

    def power(self, dtype: torch.dtype) -> Tensor:
        """The present power of each head, detached, of shape [H]."""
        return self._power(dtype).detach()

    def forward(self, pooled: Tensor, counts: Tensor) -> Tensor:
        """Scale ``pooled`` [G, D], whose D channels hold the heads repeatedly.

        Args:
            pooled (torch.Tensor): Averages.
            counts (torch.Tensor): N, of shape [G, 1] or one for each of those heads.
        """
        check_device("size_power", self.table, "x", pooled.device)
        heads = pooled.size(1) // self.channels
        power = spread(self._power(pooled.dtype), pooled.size(0))
        power = power.repeat(1, heads // power.size(1))
        factors = counts.clamp(min=1).to(pooled.dtype).pow(power)
        return pooled * factors.repeat_interleave(self.channels, dim=1)

    def _translate(self, state: dict[str, Any], prefix: str) -> None:
        # Fixed and learned ones differ in their types alone.
        for table in taken(state, {"table": f"{prefix}table"}).values():
            state[f"{prefix}table"] = table.detach().to(self.table.dtype)

    def _power(self, dtype: torch.dtype) -> Tensor:
        (power,) = project((UNIT,), in_type(self.table, dtype))
        return power
