r"""A prior over the channels, as a layer holds it."""

import torch
from torch import Tensor

from torch_geometric_uotp.holder import CoefficientHolder, fixed_dtype, in_type


class ChannelPrior(CoefficientHolder):
    """The logarithm of a prior, held as a buffer.

    Args:
        start (torch.Tensor): It, of shape [H, C].
    """

    log_p0: Tensor

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.start = start
        self.register_buffer("log_p0", torch.empty(start.shape, dtype=fixed_dtype()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Restore the values, which nothing but a loaded state changes."""
        self.log_p0.copy_(self.start)

    def forward(self, dtype: torch.dtype) -> Tensor:
        """The logarithm in a floating-point type, of shape [H, C]."""
        return in_type(self.log_p0, dtype)
