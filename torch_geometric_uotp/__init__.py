r"""Global pooling as unbalanced optimal transport, for PyTorch Geometric."""

from torch_geometric_uotp import plot
from torch_geometric_uotp.aggr import (
    HierarchicalUOTPAggregation,
    ROTPAggregation,
    UOTPAggregation,
)
from torch_geometric_uotp.functional import uotp_pool
from torch_geometric_uotp.global_pool import GlobalPool
from torch_geometric_uotp.nearest import nearest_pooling
from torch_geometric_uotp.ops import backend
from torch_geometric_uotp.problem import Problem, Solution
from torch_geometric_uotp.registry import register
from torch_geometric_uotp.scores import NormalisedScores
from torch_geometric_uotp.swap import swap_readout
from torch_geometric_uotp.vision import UOTPPool2d

__version__ = "0.1.0"

__all__ = [
    "GlobalPool",
    "HierarchicalUOTPAggregation",
    "NormalisedScores",
    "Problem",
    "ROTPAggregation",
    "Solution",
    "UOTPAggregation",
    "UOTPPool2d",
    "backend",
    "nearest_pooling",
    "plot",
    "register",
    "swap_readout",
    "uotp_pool",
]

register()
