r"""Priors over the nodes and the channels of a set."""

import math

from torch import Tensor
from torch.nn import Linear, Module

from torch_geometric_uotp.arguments import check_constant
from torch_geometric_uotp.precision import Promoting, linear_in_type
from torch_geometric_uotp.transforms import values_known

# It leaves a node nothing, as -inf does, whose products with 0 are NaN.
LOWEST_LOG_PRIOR = -1e30


def left_out(log_prior: Tensor) -> Tensor:
    """Which nodes a normalised log prior leaves nothing, bool of its shape."""
    return log_prior.detach() <= LOWEST_LOG_PRIOR


def leave_out(log_prior: Tensor, potential: Tensor) -> Tensor:
    """Potentials [N, H] that keep such nodes out, however little a prior counts."""
    return potential.masked_fill(left_out(log_prior), LOWEST_LOG_PRIOR)


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
    computed in the type of x, whatever that of the weights.

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
        return linear_in_type(self.score, linear_in_type(self.hidden, x).tanh())

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
    return log_positive("channel_prior", prior.detach()).view(heads, -1)


def log_positive(name: str, prior: Tensor) -> Tensor:
    """The logarithm of a prior.

    Raises:
        ValueError: If it is not positive and finite.
    """
    if values_known(prior):
        valid = (prior > 0) & (prior < math.inf)
        if not bool(valid.all()):
            wrong = prior[~valid].flatten()[0].item()
            raise ValueError(f"'{name}' must be positive and finite (got {wrong})")
    return prior.log()
