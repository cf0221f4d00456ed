r"""The linear system behind Newton's steps and the gradient at a fixed point."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from torch_geometric_uotp.segments import Segments

# Curvature, relative to that of diag(p), that double precision cannot tell from 0.
FLAT = 4 * torch.finfo(torch.double).eps


@dataclass(frozen=True)
class SchurComplement:
    r"""What is left of the dual's Hessian when the node potentials are eliminated.

    For a plan P = diag(q) U, U with rows of sum 1, and p = Pᵀ1, it is

    .. math::
        S = \mathrm{diag}(p) - r \, P^\top \mathrm{diag}(1/q) \, P,
        \qquad r = r_p r_q,

    one [C, C] matrix for each set and head, never formed. It is positive
    definite for r < 1; at r = 1 constants are in its kernel, and right-hand
    sides that sum to 0 in its range. That on the node side has the same
    spectrum, apart from ones: neither converges before the other.

    Args:
        u (torch.Tensor): U, of shape [N, H, C].
        q (torch.Tensor): The node marginal up to a factor of each set, [N, H].
        r (torch.Tensor): r, of shape [G, H].
        segments (Segments): The set of each node.
    """

    u: Tensor
    q: Tensor
    r: Tensor
    segments: Segments

    @cached_property
    def p(self) -> Tensor:
        """The channel marginal, of shape [G, H, C]."""
        return self.to_channels(self.u.new_ones(self.q.shape))

    def to_nodes(self, v: Tensor) -> Tensor:
        """U v: [G, H, C] to [N, H]."""
        return (self.u * self.segments.gather(v)).sum(-1)

    def to_channels(self, y: Tensor) -> Tensor:
        """Pᵀ y: [N, H] to [G, H, C]."""
        return self.segments.sum(self.u * (self.q * y).unsqueeze(-1))

    def times(self, v: Tensor) -> Tensor:
        """S v."""
        return self.p * v - self.r.unsqueeze(-1) * self.to_channels(self.to_nodes(v))

    def scaled(self, v: Tensor) -> Tensor:
        """v / p; a channel whose mass underflows counts for nothing."""
        return torch.where(self.p > 0, v / self.p, 0)

    def solve(
        self, right: Tensor, accuracy: Tensor, limit: Tensor, wanted: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Conjugate gradients, preconditioned by p, for each set and head its own.

        Args:
            right (torch.Tensor): The right-hand side, of shape [G, H, C].
            accuracy (torch.Tensor): The residual asked for, relative to the
                right-hand side in the norm of 1/p, of shape [G, H].
            limit (torch.Tensor): Products with S at most, of shape [G, H].
            wanted (torch.Tensor): Where to solve at all, of shape [G, H].

        Returns:
            The solution, 0 where none is wanted, and the products it took.
        """
        found, rest = torch.zeros_like(right), right
        direction = self.scaled(right)
        size = (right * direction).sum(-1)
        goal, products = accuracy.square() * size, torch.zeros_like(limit)
        running = wanted & (size > goal) & (limit > 0)
        while bool(running.any()):
            image = self.times(direction)
            curvature = (direction * image).sum(-1)
            energy = (self.p * direction.square()).sum(-1)
            running = running & (curvature > FLAT * energy)
            step = torch.where(running, size / curvature, 0).unsqueeze(-1)
            found, rest = found + step * direction, rest - step * image
            scaled = self.scaled(rest)
            after = (rest * scaled).sum(-1)
            turned = scaled + (after / size).unsqueeze(-1) * direction
            direction = torch.where(running.unsqueeze(-1), turned, direction)
            size, products = torch.where(running, after, size), products + running
            running = running & (size > goal) & (products < limit)
        return torch.where(wanted.unsqueeze(-1), found, 0), products
