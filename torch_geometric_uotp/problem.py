r"""The transport problem of every set in a batch, and its solution."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from torch_geometric_uotp.arguments import check_device
from torch_geometric_uotp.bounded import spread
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.precision import promote
from torch_geometric_uotp.priors import left_out, normalise_node_prior
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.transforms import values_known

# What features count as where a gradient is borrowed, at most.
LARGEST_BORROWED = 2.0**60
# And where they are selected: no sum of a few such numbers overflows in float64.
LARGEST_SELECTED = 2.0**1000


@dataclass(frozen=True)
class Problem:
    r"""Unbalanced optimal transport between the nodes and channels of each set.

    For scores X [N, C] of one set and one head, over plans P > 0 of mass 1,

    .. math::
        \min_P \; -\langle X, P \rangle + \alpha_0 R(P)
        + \alpha_1 \mathrm{KL}(P^\top 1 \,|\, p_0)
        + \alpha_2 \mathrm{KL}(P 1 \,|\, q_0)

    from `"Revisiting Global Pooling through the Lens of Optimal Transport"
    <https://arxiv.org/abs/2201.09191>`_. The regulariser R belongs to the
    solver. Coefficients and priors are of one type, float32 or better, scores
    and values of the same or of half precision.

    Args:
        scores (torch.Tensor): X, of shape [N, H, C]: H heads of C channels.
        segments (Segments): The set of each of the N nodes.
        coefficients (Coefficients): Tables for H heads, or for one head that
            all share.
        values (torch.Tensor): What is averaged, of shape [N, H, C].
        log_p0 (torch.Tensor, optional): Log prior over channels, of shape
            [H, C]. (default: uniform)
        log_q0 (torch.Tensor, optional): Log prior over the nodes of each set,
            of shape [N, H] or [N, 1]. A node of log prior -inf is left out: it
            counts as if it were not there. (default: uniform)
        changes (list, optional): Of a problem that is :meth:`recorded`, how often
            its tensors had been changed in place.
        absent (torch.Tensor, optional): Of a problem that is :meth:`explicit`, the
            nodes that are left out, bool of shape [N, H] or [N, 1]. Their features
            and log priors are 0 there. (default: no node)
    """

    scores: Tensor
    segments: Segments
    coefficients: Coefficients
    values: Tensor
    log_p0: Tensor | None = None
    log_q0: Tensor | None = None
    changes: list[int] | None = None
    absent: Tensor | None = None

    @classmethod
    def create(
        cls,
        scores: Tensor,
        segments: Segments,
        coefficients: Coefficients,
        log_p0: Tensor | None = None,
        log_q0: Tensor | None = None,
        values: Tensor | None = None,
    ) -> "Problem":
        """State a problem; priors left out are uniform, values the scores.

        Priors given are known up to a constant, and normalised here. Nodes of log
        prior -inf are left out; a set that has no others pools to 0.

        Raises:
            ValueError: If the coefficients are of another type than they must be, or
                something is on another device than the scores.
        """
        _check_devices(scores, segments, coefficients, log_p0, log_q0, values)
        wanted = torch.promote_types(scores.dtype, torch.float32)
        if coefficients.t.dtype != wanted:
            raise ValueError(
                f"coefficients must be of {wanted} beside scores of {scores.dtype} "
                f"(got {coefficients.t.dtype})"
            )
        if log_p0 is not None:
            log_p0 = log_p0 - log_p0.logsumexp(-1, keepdim=True)
        if log_q0 is not None:
            log_q0 = normalise_node_prior(log_q0, segments)
        return cls(
            scores=scores,
            segments=segments,
            coefficients=coefficients,
            values=scores if values is None else values,
            log_p0=log_p0,
            log_q0=log_q0,
        )

    def at_nodes(self, coefficient: Tensor) -> Tensor:
        """A coefficient of each node, [N, H], from [H] or [G, H]."""
        if coefficient.dim() == 1:
            return spread(coefficient, self.segments.num_nodes)
        return self.segments.gather(coefficient)

    def at_sets(self, coefficient: Tensor) -> Tensor:
        """A coefficient of each set, [G, H], from [H] or [G, H]."""
        if coefficient.dim() == 1:
            return spread(coefficient, self.segments.num_sets)
        return coefficient

    def explicit(self) -> "Problem":
        """The same problem in float32 or better, with nothing left implicit.

        What nodes hold that are left out is replaced by 0: a product of a zero
        weight, or of a zero gradient, with NaN or inf would be NaN.
        """
        dtype = torch.promote_types(self.scores.dtype, torch.float32)
        scores = promote(self.scores, dtype)
        shared = self.values is self.scores
        values = scores if shared else promote(self.values, dtype)
        log_p0, log_q0 = self.log_p0, self.log_q0
        if log_p0 is None:
            log_p0 = scores.new_zeros(scores.shape[1:]).log_softmax(-1)
        if log_q0 is None:
            counts = self.segments.counts.to(dtype)
            log_q0 = -self.segments.gather(counts.log()).unsqueeze(-1)
        absent = self._find_absent()
        if absent is not None:
            log_q0 = log_q0.masked_fill(absent, 0)
            scores = scores.masked_fill(absent.unsqueeze(-1), 0)
            values = scores if shared else values.masked_fill(absent.unsqueeze(-1), 0)
        return Problem(
            scores=scores,
            segments=self.segments,
            coefficients=self.coefficients.explicit(),
            values=values,
            log_p0=log_p0,
            log_q0=log_q0,
            absent=absent,
        )

    def _find_absent(self) -> Tensor | None:
        """The nodes that are left out, or None where it is known that none is."""
        if self.absent is not None or self.log_q0 is None:
            return self.absent
        absent = left_out(self.log_q0)
        # Other devices would have to wait for the answer.
        known = values_known(absent) and absent.device.type == "cpu"
        return None if known and not bool(absent.any()) else absent

    def leave_out(self, potential: Tensor) -> Tensor:
        """Numbers a node [N, H], -inf for those that are left out."""
        if self.absent is None:
            return potential
        return potential.masked_fill(self.absent, -torch.inf)

    def double(self) -> "Problem":
        """The same problem with scores and values in double precision."""
        scores = promote(self.scores, torch.float64)
        shared = self.values is self.scores
        values = scores if shared else promote(self.values, torch.float64)
        return replace(self, scores=scores, values=values)

    @property
    def channel_prior(self) -> Tensor:
        """``log_p0`` of an explicit problem."""
        assert self.log_p0 is not None
        return self.log_p0

    @property
    def node_prior(self) -> Tensor:
        """``log_q0`` of an explicit problem, 0 for nodes that are left out."""
        assert self.log_q0 is not None
        return self.log_q0

    @property
    def stated_node_prior(self) -> Tensor:
        """``log_q0`` of an explicit problem, -inf for nodes that are left out."""
        return self.leave_out(self.node_prior)

    @property
    def learns(self) -> bool:
        """Whether the solution has a gradient by anything but the features."""
        given = self.coefficients
        scores = None if self.values is self.scores else self.scores
        tables = (given.t, given.r_p, given.r_q, given.rho, self.log_p0, self.log_q0)
        return torch.is_grad_enabled() and any(
            table is not None and table.requires_grad for table in (scores, *tables)
        )

    def counts(self) -> Tensor:
        """The nodes of each set that are not left out, [G, 1] or [G, H]."""
        absent = self._find_absent()
        if absent is None:
            return self.segments.counts.unsqueeze(-1)
        return self.segments.sum((~absent).to(self.scores.dtype))

    def recorded(self) -> "Problem":
        """The same problem with coefficients of its own, to be looked at later.

        It knows then whether what it shares with its caller was changed in place.
        """
        changes = self._changes() if values_known() else None
        return replace(self, coefficients=self.coefficients.copy(), changes=changes)

    def check_unchanged(self) -> None:
        """Refuse to go on with what is no longer the problem that was recorded.

        Raises:
            RuntimeError: If features or the sets were changed in place.
        """
        if self.changes is not None and self.changes != self._changes():
            raise RuntimeError(
                "features or the sets of nodes were changed in place after solve(): "
                "read the plan, its marginals and the residual before"
            )

    def _changes(self) -> list[int]:
        """How often each of a caller's tensors was changed, where that is counted."""
        shared = (self.scores, self.values, self.segments.index, self.segments.ptr)
        tensors = [tensor for tensor in shared if tensor is not None]
        return [tensor._version for tensor in tensors if not tensor.is_inference()]

    def projected(self) -> Self:
        """The same problem with coefficients that are projected already.

        For those who differentiate more than the pooled values: a projection lets
        the gradient pass inwards only, and must see the sum of its parts.
        """
        return replace(self, coefficients=self.coefficients.explicit())

    def soften(self) -> "Problem":
        """The problem that heads with infinite t borrow the gradient of.

        There the features are constants, and small enough for their squares to be
        finite: a maximum may pass over -inf, and so does the gradient.
        """
        assert self.coefficients.hard is not None
        hard = self.coefficients.hard.unsqueeze(-1)
        largest = min(LARGEST_BORROWED, torch.finfo(self.scores.dtype).max)

        def bounded(x: Tensor) -> Tensor:
            return torch.where(hard, x.detach().clamp(-largest, largest), x)

        scores = bounded(self.scores)
        shared = self.values is self.scores
        return replace(
            self, scores=scores, values=scores if shared else bounded(self.values)
        )

    def select(self) -> "Problem":
        """The problem of heads with infinite t: finite scores of no gradient.

        Infinite ones would make potentials of inf - inf.
        """
        largest = min(LARGEST_SELECTED, torch.finfo(self.scores.dtype).max)
        return replace(self, scores=self.scores.detach().clamp(-largest, largest))


def _check_devices(
    scores: Tensor,
    segments: Segments,
    coefficients: Coefficients,
    log_p0: Tensor | None,
    log_q0: Tensor | None,
    values: Tensor | None,
) -> None:
    """Refuse tensors on several devices, which an operator may not notice."""
    device = scores.device
    named = (
        ("index", segments.index),
        ("coefficients", coefficients.t),
        ("coefficients", coefficients.r_p),
        ("coefficients", coefficients.r_q),
        ("coefficients", coefficients.rho),
        ("channel_prior", log_p0),
        ("node_prior", log_q0),
        ("values", values),
    )
    for name, tensor in named:
        if tensor is not None:
            check_device(name, tensor, "x", device)


@dataclass(frozen=True)
class Solution:
    r"""What a solver found, for G sets and D = H C channels.

    Args:
        pooled (torch.Tensor): Each channel's conditional expectation over the
            nodes, :math:`f_d = \sum_n (P_{nd} / p_d) x_{nd}`, of shape
            [G, D]; 0 for an empty set.
        segments (Segments): The set of each node.
        heads (int): H.
        make_plan (callable): Computes :attr:`plan`.
        make_residual (callable): Computes :attr:`residual`.

    The plan, its marginals and the residual are computed when first read: a
    RuntimeError says that the features or the sets were changed in place before.
    """

    pooled: Tensor
    segments: Segments
    heads: int
    make_plan: Callable[[], Tensor]
    make_residual: Callable[[], Tensor]

    @cached_property
    def plan(self) -> Tensor:
        """P, of mass 1 for each set and head, of shape [N, D]."""
        return self.make_plan()

    @cached_property
    def node_marginal(self) -> Tensor:
        """q, what each node gives, of shape [N, H]."""
        shape = (self.plan.size(0), self.heads, self._channels)
        return self.plan.view(shape).sum(-1)

    @cached_property
    def channel_marginal(self) -> Tensor:
        """p, what each channel receives, of shape [G, D]."""
        return self.segments.sum(self.plan)

    @cached_property
    def residual(self) -> Tensor:
        """How far from the optimum, 0 at it, of shape [G, H].

        The measure is the solver's own and is described there.
        """
        return self.make_residual()

    def of_recorded(self, problem: Problem) -> "Solution":
        """The same, where a problem that has changed is refused."""

        def checked(make: Callable[[], Tensor]) -> Callable[[], Tensor]:
            def made() -> Tensor:
                problem.check_unchanged()
                return make()

            return made

        return replace(
            self,
            make_plan=checked(self.make_plan),
            make_residual=checked(self.make_residual),
        )

    def to(self, dtype: torch.dtype) -> "Solution":
        """The same in another floating-point type."""
        return replace(
            self,
            pooled=self.pooled.to(dtype),
            make_plan=lambda: self.make_plan().to(dtype),
            make_residual=lambda: self.make_residual().to(dtype),
        )

    def unnormalized(self) -> Tensor:
        r"""The output without normalisation, :math:`C \sum_n P_{nd} x_{nd}`."""
        return self.pooled * self.segments.sum(self.make_plan()) * self._channels

    @property
    def _channels(self) -> int:
        """C; a leading axis without entries leaves no heads."""
        return self.pooled.size(-1) // max(self.heads, 1)
