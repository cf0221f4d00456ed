r"""A transport inside another layer, which gives it the node prior."""

import torch
from torch import Tensor

from torch_geometric_uotp.aggr.uotp import UOTPAggregation
from torch_geometric_uotp.priors import columns


class GivenPriorUOTP(UOTPAggregation):
    """A transport whose node prior is given by its logarithm, up to a constant."""

    def _log_node_prior(
        self, nodes: Tensor, node_prior: Tensor | None, dtype: torch.dtype
    ) -> Tensor | None:
        return None if node_prior is None else columns(node_prior, nodes, self.heads)
