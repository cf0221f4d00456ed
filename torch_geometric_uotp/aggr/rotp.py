r"""Pooling as unbalanced optimal transport with structure."""

import math
from typing import Any, Self

import torch
from torch import Tensor

from torch_geometric_uotp.aggr.uotp import UOTPAggregation
from torch_geometric_uotp.arguments import table_of
from torch_geometric_uotp.problem import Problem
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.solvers.structural import Structural
from torch_geometric_uotp.structure import StructuralProblem
from torch_geometric_uotp.weight import FixedWeight, LearnedWeight


class ROTPAggregation(UOTPAggregation):
    r"""The regularised optimal transport pooling of `"Regularized Optimal
    Transport Layers for Generalized Global Pooling Operations"
    <https://arxiv.org/abs/2212.06339>`_.

    The problem of :class:`UOTPAggregation` with a structural term: mass also
    gains where similar nodes send it to similar channels,

    .. math::
        \min_P \; -\langle X, P \rangle - \alpha_s \langle C_2 P C_1, P \rangle
        + \alpha_0 R(P) + \alpha_1 \mathrm{KL}(p \,|\, p_0)
        + \alpha_2 \mathrm{KL}(q \,|\, q_0),

    where :math:`C_1 = X^\top X` and :math:`C_2 = X X^\top` are each divided by
    their own largest entry, for each set and head by itself. It is solved by
    an outer loop around the solver
    (:class:`~torch_geometric_uotp.solvers.Structural`), in O(N F² / heads)
    operations for N nodes, the largest matrices being those of the channels: the
    memory is linear in the nodes.

    At :math:`\alpha_s = 0` it is :class:`UOTPAggregation`, to the bit.

    Args:
        channels (int): Size of each input sample.
        alpha_s (float or torch.Tensor): Start (or, with :obj:`learn=False`,
            value) of the structural term's weight, finite and not negative: a
            number, or of shape [heads]. (default: :obj:`1.0`)
        num_outer_steps (int): How often the problem is solved, each time with
            the structural term's tangent at the last plan, 2 or more.
            (default: :obj:`2`)
        learn (bool): Whether the coefficients are parameters, or buffers.
            (default: :obj:`True`)
        **kwargs (optional): Further arguments of :class:`UOTPAggregation`;
            ``num_steps`` are those of each outer step.

    Shapes:
        - **input:** node features :math:`(*, |\mathcal{V}|, F)`, any floating
          type (half precision is computed in float32), index vector
          :math:`(|\mathcal{V}|)` in any order
        - **output:** set features :math:`(*, |\mathcal{G}|, F)` of the same
          type, 0 for an empty set

    Raises:
        ValueError: If an argument is not as above.
    """

    def __init__(
        self,
        channels: int,
        alpha_s: float | Tensor = 1.0,
        num_outer_steps: int = 2,
        learn: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(channels, learn=learn, **kwargs)
        self.solver = Structural(num_outer_steps, self.solver)
        start = _row(alpha_s, self.heads)
        self.structure = (
            LearnedWeight("alpha_s", start) if learn else FixedWeight(start)
        )

    @classmethod
    def like(cls, name: str, channels: int, **kwargs: Any) -> Self:
        """A layer that now is a conventional pooling, and learns from there.

        It starts without structure, ``alpha_s=0``; otherwise see
        :meth:`UOTPAggregation.like`.
        """
        return super().like(name, channels, **{"alpha_s": 0.0, **kwargs})

    def coefficients(self) -> dict[str, Tensor]:
        """Those of :class:`UOTPAggregation`, and ``alpha_s`` of shape [1, heads]."""
        alpha_s = self.structure(torch.float64).detach().unsqueeze(0)
        return super().coefficients() | {"alpha_s": alpha_s}

    def _rows(self, normalize: bool) -> dict[str, slice]:
        # As Structural.rows says: the solver's rows, as if nothing were normalised.
        return super()._rows(normalize=False)

    def _problem(
        self, nodes: Tensor, segments: Segments, node_prior: Tensor | None
    ) -> Problem:
        problem = super()._problem(nodes, segments, node_prior)
        copies = math.prod(nodes.shape[1:-1])
        dtype = torch.promote_types(nodes.dtype, torch.float32)
        alpha_s = self.structure(dtype).repeat(copies)
        return StructuralProblem.extend(problem, alpha_s)


def _row(alpha_s: float | Tensor, heads: int) -> Tensor:
    given = table_of("alpha_s", alpha_s)
    valid = (given >= 0) & (given < math.inf)
    if given.shape not in ((), (1,), (heads,)) or not bool(valid.all()):
        raise ValueError(
            f"'alpha_s' must be a number, or of shape ({heads},), finite and not "
            f"negative (got {alpha_s})"
        )
    return given.expand(heads)
