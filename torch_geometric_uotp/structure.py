r"""The structural term: transport that keeps similar nodes and channels together."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from torch_geometric_uotp.arguments import check_device
from torch_geometric_uotp.precision import promote
from torch_geometric_uotp.problem import Problem
from torch_geometric_uotp.products import gram, transform
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.semiring import MAX_PLUS


@dataclass(frozen=True, kw_only=True)
class StructuralProblem(Problem):
    r"""A transport problem with a structural term.

    To the objective of :class:`Problem` it adds, for each set and head,

    .. math::
        - \alpha_s \langle C_2 P C_1, P \rangle, \qquad
        C_1 \propto X^\top X, \quad C_2 \propto X X^\top,

    each matrix divided by its own largest entry, from `"Regularized Optimal
    Transport Layers for Generalized Global Pooling Operations"
    <https://arxiv.org/abs/2212.06339>`_: pairs of similar nodes gain where they
    send mass to pairs of similar channels.

    Args:
        alpha_s (torch.Tensor): :math:`\alpha_s`, from 0 on, of shape [H].
    """

    alpha_s: Tensor

    @classmethod
    def extend(cls, problem: Problem, alpha_s: Tensor) -> "StructuralProblem":
        """Add the term to a problem.

        Raises:
            ValueError: If ``alpha_s`` is on another device.
        """
        check_device("alpha_s", alpha_s, "x", problem.scores.device)
        given = {field.name: getattr(problem, field.name) for field in fields(problem)}
        return cls(**given, alpha_s=alpha_s)

    def recorded(self) -> "StructuralProblem":
        given = super().recorded()
        assert isinstance(given, StructuralProblem)
        return replace(given, alpha_s=self.alpha_s.clone())

    @property
    def learns(self) -> bool:
        return super().learns or (
            torch.is_grad_enabled() and self.alpha_s.requires_grad
        )

    def tangent(self, gain: Tensor) -> "StructuralProblem":
        r"""The problem with the structural term replaced by its tangent at a plan.

        The term has the derivative :math:`-2 \alpha_s C_2 P C_1`, so the tangent
        is a matter of other scores.

        Args:
            gain (torch.Tensor): :math:`C_2 P C_1`, of shape [N, H, C].
        """
        weight = 2 * self.at_nodes(self.alpha_s).unsqueeze(-1)
        scores = promote(self.scores, gain.dtype)
        shared = self.values is self.scores
        return replace(
            self,
            scores=scores + weight * gain,
            values=scores if shared else promote(self.values, gain.dtype),
        )


@dataclass(frozen=True)
class Structure:
    r"""Similarities of the nodes and of the channels of each set and head.

    Both are Gram matrices, so their largest entries lie on their diagonals and
    cost no more to find than the diagonals do. :math:`C_2`, as large as the
    number of nodes squared, is never formed.

    Args:
        x (torch.Tensor): X in units of its longest row, so that
            :math:`C_2 = X X^\top`, of shape [N, H, C].
        channels (torch.Tensor): :math:`C_1`, of shape [G, H, C, C].
        segments (Segments): The set of each node.
    """

    x: Tensor
    channels: Tensor
    segments: Segments

    @classmethod
    def of(cls, scores: Tensor, segments: Segments) -> "Structure":
        """The structure of scores [N, H, C]; 0 for a set of zeros."""
        # A unit of its own first, so that no square overflows. It cancels, and
        # so needs no gradient.
        unit = _or_one(segments.max(scores.abs().amax(-1)))
        x = scores / segments.gather(unit).unsqueeze(-1)
        lengths = x.square().sum(-1)
        longest = _or_one(MAX_PLUS.mean(lengths.detach(), lengths, segments))
        x = x / segments.gather(longest.sqrt()).unsqueeze(-1)
        channels = gram(x, x, segments)
        largest = _or_one(channels.diagonal(dim1=-2, dim2=-1).amax(-1))
        return cls(x, channels / largest[..., None, None], segments)

    def gain(self, plan: Tensor) -> Tensor:
        r""":math:`C_2 P C_1` of a plan [N, H, C], of its shape.

        With :math:`C_2` in factors, :math:`X ((X^\top P) C_1)`, this takes
        O(N C²) operations. For plans of mass 1 it lies in [-1, 1].
        """
        moved = gram(self.x, plan, self.segments) @ self.channels
        return transform(self.x, moved, self.segments)

    def gain_of_priors(self, log_q0: Tensor, log_p0: Tensor) -> Tensor:
        r"""The gain of the plan :math:`q_0 p_0^\top`, in O(N C) operations.

        Args:
            log_q0 (torch.Tensor): Log prior over nodes, of shape [N, H] or [N, 1].
            log_p0 (torch.Tensor): Log prior over channels, of shape [H, C].
        """
        centre = self.segments.sum(log_q0.exp().unsqueeze(-1) * self.x)
        near = (self.x * self.segments.gather(centre)).sum(-1, keepdim=True)
        towards = (log_p0.exp().unsqueeze(-2) @ self.channels).squeeze(-2)
        return near * self.segments.gather(towards)


def _or_one(largest: Tensor) -> Tensor:
    """Make divisors of the maxima of sets, where there is nothing to divide."""
    return largest.masked_fill((largest == 0) | (largest == -torch.inf), 1)
