r"""Padded and masked baselines: what a readout costs without ragged operators.

Both pad every set to the largest, as the authors' code does. They are here to be
timed against the library, which they are not part of.
"""

import math

import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch.nn.functional import softplus
from torch_geometric.utils import to_dense_batch


class DenseSinkhorn(Module):
    r"""The library's own recursion, on padded sets: equal to it to rounding.

    Args:
        num_steps (int): K. (default: :obj:`4`)
    """

    def __init__(self, num_steps: int = 4):
        super().__init__()
        self.num_steps = num_steps
        self.t = Parameter(torch.tensor(1.0))
        self.r_p = Parameter(torch.tensor(0.5))
        self.r_q = Parameter(torch.tensor(0.9))

    def forward(self, x: Tensor, index: Tensor, dim_size: int) -> Tensor:
        r"""Pools x of shape :math:`[N, D]` to :math:`[G, D]`; no set is empty."""
        values, mask = to_dense_batch(x, index, batch_size=dim_size)
        scores = self.t * values
        counts = mask.sum(dim=1, keepdim=True)
        a = x.new_zeros(1)
        for k in range(self.num_steps):
            b = self.r_q * (-counts.log() - (scores + a).logsumexp(dim=2))
            b = b.masked_fill(~mask, -torch.inf).unsqueeze(2)
            if k < self.num_steps - 1:
                log_p = (scores + b).logsumexp(dim=1, keepdim=True)
                a = self.r_p * (-math.log(x.size(1)) - log_p)
        pooled: Tensor = ((scores + b).softmax(dim=1) * values).sum(dim=1)
        return pooled


class PublishedSinkhorn(Module):
    r"""The recursion of the authors' code, with coefficients of its own a step.

    It divides the scaled potentials by :math:`\alpha_0` once more and updates both
    from the same plan, so that it solves the stated problem at :math:`\alpha_0 = 1`
    only; it returns the unnormalised :math:`D \sum_n P_{nd} x_{nd}`.

    Args:
        num_steps (int): K. (default: :obj:`4`)
    """

    def __init__(self, num_steps: int = 4):
        super().__init__()
        self.raw_alphas = Parameter(torch.zeros(3, num_steps))

    def forward(self, x: Tensor, index: Tensor, dim_size: int) -> Tensor:
        r"""Pools x of shape :math:`[N, D]` to :math:`[G, D]`; no set is empty."""
        values, mask = to_dense_batch(x, index, batch_size=dim_size)
        log_p0 = -math.log(x.size(1))
        log_q0 = -mask.sum(dim=1, keepdim=True).log().unsqueeze(2)
        outside = ~mask.unsqueeze(2)
        a, b = values[:, :1] * 0, values[:, :, :1] * 0
        for alpha0, alpha1, alpha2 in softplus(self.raw_alphas).unbind(dim=1):
            y = (values / alpha0 + a + b).masked_fill(outside, -torch.inf)
            log_p = y.logsumexp(dim=1, keepdim=True)
            log_q = y.logsumexp(dim=2, keepdim=True).masked_fill(outside, 0)
            a = alpha1 / (alpha1 + alpha0) * (a / alpha0 + log_p0 - log_p)
            b = alpha2 / (alpha2 + alpha0) * (b / alpha0 + log_q0 - log_q)
        plan = (values / alpha0 + a + b).masked_fill(outside, -torch.inf).exp()
        transported: Tensor = x.size(1) * (plan * values).sum(dim=1)
        return transported
