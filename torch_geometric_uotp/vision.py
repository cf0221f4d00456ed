r"""Global pooling of images."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from torch_geometric_uotp.aggr import UOTPAggregation
from torch_geometric_uotp.arguments import check_features
from torch_geometric_uotp.conventional import setting
from torch_geometric_uotp.nodes import unshared
from torch_geometric_uotp.problem import Solution


class UOTPPool2d(Module):
    r"""Unbalanced optimal transport pooling of feature maps, from
    `"Revisiting Global Pooling through the Lens of Optimal Transport"
    <https://arxiv.org/abs/2201.09191>`_.

    It takes the place of :class:`torch.nn.AdaptiveAvgPool2d` with output size
    1. The pixels of an image are the nodes of a set; see
    :class:`~torch_geometric_uotp.UOTPAggregation` for the problem that is
    solved.

    In the memory format ``torch.channels_last`` the pixels are read where they
    are; a contiguous feature map is transposed first, which copies it once.

    Args:
        channels (int): C, channels of the feature maps.
        **kwargs (optional): Further arguments of
            :class:`~torch_geometric_uotp.UOTPAggregation`.

    Shapes:
        - **input:** :math:`(B, C, H, W)` or :math:`(C, H, W)`, any floating
          type (half precision is computed in float32)
        - **output:** :math:`(B, C, 1, 1)` or :math:`(C, 1, 1)` of the same
          type, 0 for an image without pixels

    Raises:
        ValueError: If an argument is not as above.
    """

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.readout = UOTPAggregation(channels, **kwargs)

    @classmethod
    def like(cls, name: str, channels: int, **kwargs: Any) -> "UOTPPool2d":
        """A layer that now is a conventional pooling, and learns from there.

        ``mean`` is ``AdaptiveAvgPool2d(1)``, ``max`` is
        ``AdaptiveMaxPool2d(1)``.

        Args:
            name (str): As in :meth:`UOTPAggregation.like
                <torch_geometric_uotp.UOTPAggregation.like>`.
            channels (int): C, channels of the feature maps.
            **kwargs (optional): Further arguments of the layer, which take
                precedence over those that make it that pooling.

        Raises:
            ValueError: If there is no such pooling here, or the solver does not
                reach it in a finite number of steps.
        """
        return cls(channels, **setting(name, **kwargs))

    def reset_parameters(self) -> None:
        """Go back to the initial coefficients; draw a new node prior."""
        self.readout.reset_parameters()

    def coefficients(self) -> dict[str, Tensor]:
        """The present coefficients, detached, each of shape [steps, heads]."""
        return self.readout.coefficients()

    def forward(self, x: Tensor) -> Tensor:
        """Pool each feature map to one pixel.

        Args:
            x (torch.Tensor): Of shape [B, C, H, W] or [C, H, W].

        Raises:
            ValueError: If the input is not as above.
        """
        pixels, ptr = self._pixels(x)
        pooled: Tensor = self.readout(pixels, ptr=ptr)
        return unshared(pooled.view(*x.shape[:-2], 1, 1))

    def solve(self, x: Tensor) -> Solution:
        """Pool, and keep what the pooling did: plan, marginals, residual.

        The nodes are the pixels, image by image and row by row: with
        ``heads=1``, ``solution.node_marginal.view(B, H, W)`` says what share of
        its image each pixel has.

        Args:
            x (torch.Tensor): Of shape [B, C, H, W] or [C, H, W].

        Returns:
            The solution, see :meth:`UOTPAggregation.solve
            <torch_geometric_uotp.UOTPAggregation.solve>`.

        Raises:
            ValueError: If the input is not as above.
        """
        pixels, ptr = self._pixels(x)
        return self.readout.solve(pixels, ptr=ptr)

    def _pixels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All pixels [B H W, C], and the boundaries [B + 1] of the images."""
        channels = self.readout.channels
        check_features("x", x)
        if x.dim() not in (3, 4) or x.size(-3) != channels:
            raise ValueError(
                f"'x' must be of shape [B, {channels}, H, W] or [{channels}, H, W] "
                f"(got {tuple(x.shape)})"
            )
        images = 1 if x.dim() == 3 else x.size(0)
        size = x.size(-2) * x.size(-1)
        pixels = x.movedim(-3, -1).reshape(images * size, channels)
        return pixels, torch.arange(images + 1, device=x.device) * size

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.readout})"
