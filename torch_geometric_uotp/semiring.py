r"""The two arithmetics in which the solvers' recursions are run.

A solver is written once, over a *semiring*. In :class:`LogSumExp` it solves the
problem at a finite inverse temperature t. As t grows, potentials divided by t
converge, logsumexp becomes max and the log priors vanish: the limit is the same
recursion in :class:`MaxPlus`, on raw scores. Nodes that are left out have z = -inf.
"""

from typing import Protocol

import torch
from torch import Tensor

from torch_geometric_uotp.segments import Segments


class Semiring(Protocol):
    """What a solver asks of its arithmetic; z has shape [N, H, C]."""

    def scores(self, x: Tensor, t: Tensor) -> Tensor:
        """Scale scores [N, H, C] by the inverse temperature [N, H]."""

    def prior(self, log_prior: Tensor) -> Tensor:
        """The weight of a log prior beside the scores."""

    def mass(self, log_mass: Tensor) -> Tensor:
        """Masses beside the scores."""

    def plan(self, log_mass: Tensor, segments: Segments) -> Tensor:
        """Masses [N, H, C] that add up to 1 over each set and head."""

    def nodes(self, z: Tensor, segments: Segments) -> Tensor:
        """Accumulate over the nodes of each set: [N, H, C] to [G, H, C].

        A set without nodes, or whose nodes are all left out, gives 0: no node
        reads it, and 0 is safe to multiply.
        """

    def channels(self, z: Tensor) -> Tensor:
        """Accumulate over channels: [..., C] to [...]."""

    def mean(self, z: Tensor, values: Tensor, segments: Segments) -> Tensor:
        """Average values [N, H, C] over each set with weights exp(z)."""

    def weights(self, z: Tensor, segments: Segments) -> Tensor:
        """The weights of that average, summing to 1 over each set."""

    def shares(self, log_p: Tensor, log_p0: Tensor) -> Tensor:
        """Normalise channel masses [G, H, C], ties shared as the prior says."""


class LogSumExp:
    """Finite inverse temperature."""

    def scores(self, x: Tensor, t: Tensor) -> Tensor:
        return x * t.unsqueeze(-1)

    def prior(self, log_prior: Tensor) -> Tensor:
        return log_prior

    def mass(self, log_mass: Tensor) -> Tensor:
        return log_mass.exp()

    def plan(self, log_mass: Tensor, segments: Segments) -> Tensor:
        return self.mass(log_mass)

    def nodes(self, z: Tensor, segments: Segments) -> Tensor:
        return _fill_vanished(segments.logsumexp(z))

    def channels(self, z: Tensor) -> Tensor:
        return z.logsumexp(-1)

    def mean(self, z: Tensor, values: Tensor, segments: Segments) -> Tensor:
        weights = segments.shifted_exp(z)
        total = segments.sum(weights)
        total = total.masked_fill(total == 0, 1)
        # Relative to a first, rounded result: an average of offsets loses no places
        # to what all values have in common, and that of equal values is their value.
        anchor = (segments.sum((weights * values).detach()) / total).detach()
        anchor = anchor.masked_fill(~anchor.isfinite(), 0)
        offsets = values - segments.gather(anchor)
        return anchor + segments.sum(weights * offsets) / total

    def weights(self, z: Tensor, segments: Segments) -> Tensor:
        # Divided by their own sum: a logarithm of it would round large z.
        weights = segments.shifted_exp(z)
        total = segments.sum(weights)
        return weights / segments.gather(total.masked_fill(total == 0, 1))

    def shares(self, log_p: Tensor, log_p0: Tensor) -> Tensor:
        return softmax(log_p)


class MaxPlus:
    """Infinite inverse temperature: what is left are maxima and their ties.

    Maxima that are unique give the limit of large t; ties share evenly. The
    choice is piecewise constant, so nothing here but :meth:`mean`, in its
    values, carries a gradient.
    """

    def scores(self, x: Tensor, t: Tensor) -> Tensor:
        return x.detach()

    def prior(self, log_prior: Tensor) -> Tensor:
        return torch.zeros_like(log_prior)

    def mass(self, log_mass: Tensor) -> Tensor:
        return torch.zeros_like(log_mass)

    def plan(self, log_mass: Tensor, segments: Segments) -> Tensor:
        highest = segments.gather(self.channels(self.nodes(log_mass, segments)))
        ties = (log_mass == highest.unsqueeze(-1)).to(log_mass.dtype)
        number = segments.sum(ties.sum(-1)).clamp(min=1)
        return ties / segments.gather(number).unsqueeze(-1)

    def nodes(self, z: Tensor, segments: Segments) -> Tensor:
        return _fill_vanished(segments.max(z))

    def channels(self, z: Tensor) -> Tensor:
        return z.detach().amax(-1)

    def mean(self, z: Tensor, values: Tensor, segments: Segments) -> Tensor:
        weights = self.weights(z, segments)
        # Relative to the largest selected, tied values that are equal average to
        # themselves; a sum of thirds would round.
        largest = segments.max(values.masked_fill(weights == 0, -torch.inf))
        anchor = largest.masked_fill(largest.isinf(), 0)
        offsets = values - segments.gather(anchor)
        return anchor + segments.sum(_select(weights, offsets))

    def weights(self, z: Tensor, segments: Segments) -> Tensor:
        ties = ((z == segments.gather(segments.max(z))) & (z > -torch.inf)).to(z.dtype)
        return ties / segments.gather(segments.sum(ties).clamp(min=1))

    def shares(self, log_p: Tensor, log_p0: Tensor) -> Tensor:
        ties = log_p == log_p.amax(-1, keepdim=True)
        shared = log_p0.expand_as(log_p).masked_fill(~ties, -torch.inf)
        return softmax(shared)


def softmax(x: Tensor) -> Tensor:
    """The softmax over the last axis, with the same gradient for any threads.

    PyTorch's own divides the rows of a gradient among threads, and sums up those at
    the ends of their parts in another order.
    """
    weights = (x - x.detach().amax(-1, keepdim=True)).exp()
    return weights / weights.sum(-1, keepdim=True)


def _fill_vanished(reduced: Tensor) -> Tensor:
    return reduced.masked_fill(reduced == -torch.inf, 0)


def _select(weights: Tensor, values: Tensor) -> Tensor:
    # An infinite value that is not selected must not turn into 0 * inf.
    return torch.where(weights > 0, weights * values, 0)


LOG_SUM_EXP = LogSumExp()
MAX_PLUS = MaxPlus()
