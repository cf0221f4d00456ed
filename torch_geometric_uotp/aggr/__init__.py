r"""Pooling layers: aggregations of PyTorch Geometric."""

from torch_geometric_uotp.aggr.hierarchical import HierarchicalUOTPAggregation
from torch_geometric_uotp.aggr.rotp import ROTPAggregation
from torch_geometric_uotp.aggr.uotp import UOTPAggregation

__all__ = [
    "HierarchicalUOTPAggregation",
    "ROTPAggregation",
    "UOTPAggregation",
]
