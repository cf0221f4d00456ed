r"""Priors over the nodes and the channels of a set."""

import math

import torch
from torch import Tensor
from torch.nn import Linear, Module

from torch_geometric_uotp.arguments import check_constant
from torch_geometric_uotp.bounded import bound_gradient, limited
from torch_geometric_uotp.precision import Promoting, linear_in_type
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.transforms import values_known

# A node of this log prior or less is left out, as one of -inf is: masks are often
# written as the lowest number of a type.
LOWEST_LOG_PRIOR = -1e30


def left_out(log_prior: Tensor) -> Tensor:
    """Which nodes a log prior leaves out, bool of its shape."""
    return log_prior.detach() <= LOWEST_LOG_PRIOR


def normalise_node_prior(logits: Tensor, segments: Segments) -> Tensor:
    """Log priors over the nodes of each set, exactly -inf where they leave a node out.

    Args:
        logits (torch.Tensor): Log priors up to a constant a set, of shape [N, H].
        segments (Segments): The set of each node.
    """
    logits = logits.masked_fill(left_out(logits), -math.inf)
    total = segments.logsumexp(logits)
    # A set whose nodes are all left out has no mass to divide by.
    total = total.masked_fill(total == -math.inf, 0)
    return logits - segments.gather(total)


def hide_left_out(nodes: Tensor, log_q0: Tensor | None) -> Tensor:
    """Nodes [N, *, F], 0 where the log prior [N, H] leaves them out for every head.

    A module that sees them then has no part of its gradient from what they hold.
    """
    if log_q0 is None:
        return nodes
    absent = left_out(log_q0)
    if values_known(absent) and not bool(absent.any()):
        return nodes
    absent = absent.view(*nodes.shape[:-1], -1).all(-1, keepdim=True)
    return nodes.masked_fill(absent, 0)


class UniformPrior(Module):
    """No preference among the nodes of a set."""

    def reset_parameters(self) -> None:
        """Do nothing: there is nothing to reset."""

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of shape [..., 1] for nodes x of shape [..., F]."""
        return x.new_zeros(*x.shape[:-1], 1)

    def __repr__(self) -> str:
        return "uniform"


class AttentionPrior(Promoting):
    r"""Attention of a small network, :math:`w^\top \tanh(V x_n)`.

    The softmax of it over a set is the prior, as in `"Attention-based Deep
    Multiple Instance Learning" <https://arxiv.org/abs/1802.04712>`_. It is
    computed in the type of x, whatever that of the weights. Nodes of huge or
    invalid features do not spoil the weights: NaN counts as 0 here.

    Args:
        channels (int): F.
        heads (int): H, one prior each. (default: :obj:`1`)
        hidden_channels (int, optional): Rows of V. (default: F)
    """

    def __init__(
        self, channels: int, heads: int = 1, hidden_channels: int | None = None
    ) -> None:
        super().__init__()
        hidden_channels = channels if hidden_channels is None else hidden_channels
        self.hidden = Linear(channels, hidden_channels)
        self.score = Linear(hidden_channels, heads, bias=False)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.hidden.reset_parameters()
        self.score.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of shape [..., H] for nodes x of shape [..., F]."""
        hidden = linear_in_type(self.hidden, limited(x)).tanh()
        return bound_gradient(linear_in_type(self.score, hidden))

    def __repr__(self) -> str:
        return "attention"


def prior_resolver(prior: str | Module, channels: int, heads: int) -> Module:
    """Make the node prior of a name, or take the module given.

    Raises:
        ValueError: If there is no prior of that name.
    """
    if isinstance(prior, Module):
        return prior
    if prior == "uniform":
        return UniformPrior()
    if prior == "attention":
        return AttentionPrior(channels, heads)
    raise ValueError(
        f"'node_prior' must be 'uniform', 'attention' or a module (got '{prior}')"
    )


def columns(logits: Tensor, nodes: Tensor, heads: int) -> Tensor:
    """Logits of nodes [N, *, F], a column for each head of each leading axis.

    Args:
        logits (torch.Tensor): One for all heads or one each, of shape [N, 1 or
            heads] or [N, *, 1 or heads].
        nodes (torch.Tensor): The nodes.
        heads (int): Heads of the last axis.

    Raises:
        ValueError: If there are not as many.
    """
    axes = nodes.dim() - logits.dim()
    if (
        axes < 0
        or logits.dim() < 2
        or logits.size(0) != nodes.size(0)
        or logits.shape[1:-1] != nodes.shape[axes + 1 : -1]
        or logits.size(-1) not in (1, heads)
    ):
        raise ValueError(
            f"'node_prior' must give {nodes.size(0)} nodes 1 or {heads} values each "
            f"(got shape {tuple(logits.shape)})"
        )
    logits = logits.view(nodes.size(0), *[1] * axes, *logits.shape[1:])
    return logits.expand(*nodes.shape[:-1], heads).flatten(1)


def log_channel_prior(prior: Tensor | None, channels: int, heads: int) -> Tensor | None:
    """The logarithm of a prior [channels], of shape [heads, channels / heads].

    It is of float64 and on the CPU.

    Raises:
        ValueError: If it is of another shape, a parameter, or not positive and
            finite.
    """
    if prior is None:
        return None
    given = tuple(prior.shape) if isinstance(prior, Tensor) else type(prior).__name__
    if given != (channels,):
        raise ValueError(
            f"'channel_prior' must be a tensor of shape ({channels},) (got {given})"
        )
    check_constant("channel_prior", prior)
    exact = prior.detach().to("cpu", torch.float64)
    return log_positive("channel_prior", exact).view(heads, -1)


def log_positive(name: str, prior: Tensor) -> Tensor:
    """The logarithm of a prior.

    Raises:
        ValueError: If it is not positive and finite.
    """
    _check_range(name, prior, prior > 0, "positive")
    return prior.log()


def log_or_left_out(name: str, prior: Tensor) -> Tensor:
    """The logarithm of a prior, -inf and without a gradient where it is 0.

    Raises:
        ValueError: If it is negative or not finite.
    """
    _check_range(name, prior, prior >= 0, "0 or positive")
    absent = prior.detach() == 0
    return prior.masked_fill(absent, 1).log().masked_fill(absent, -math.inf)


def _check_range(name: str, prior: Tensor, valid: Tensor, wanted: str) -> None:
    if not values_known(prior):
        return
    valid = valid & (prior < math.inf)
    if not bool(valid.all()):
        wrong = prior[~valid].flatten()[0].item()
        raise ValueError(f"'{name}' must be {wanted}, and finite (got {wrong})")
