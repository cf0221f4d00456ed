r"""Pooling layers: aggregations of PyTorch Geometric."""

from torch_geometric_uotp.aggr.uotp import UOTPAggregation

__all__ = ["UOTPAggregation"]
