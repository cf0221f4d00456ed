r"""Plots of what a pooling did and of what a layer has learned.

Each draws on Matplotlib axes, on new ones if none are given, and returns them.
Matplotlib is imported when the first one is called.
"""

from torch_geometric_uotp.plot.heat_map import plan
from torch_geometric_uotp.plot.on_graph import on_graph
from torch_geometric_uotp.plot.on_image import on_image
from torch_geometric_uotp.plot.share import (
    share_bar,
    share_colours,
    share_scale,
    shares,
)
from torch_geometric_uotp.plot.square import Layer, coefficients

__all__ = [
    "Layer",
    "coefficients",
    "on_graph",
    "on_image",
    "plan",
    "share_bar",
    "share_colours",
    "share_scale",
    "shares",
]
