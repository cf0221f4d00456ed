r"""Priors over the nodes of a set."""

from torch import Tensor
from torch.nn import Linear, Module
from torch.nn.functional import linear

from torch_geometric_uotp.precision import promote


class UniformPrior(Module):
    """No preference among the nodes of a set."""

    def reset_parameters(self) -> None:
        """Do nothing: there is nothing to reset."""

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of shape [..., 1] for nodes x of shape [..., F]."""
        return x.new_zeros(*x.shape[:-1], 1)

    def __repr__(self) -> str:
        return "uniform"


class AttentionPrior(Module):
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
        weight = promote(self.hidden.weight, x.dtype)
        bias = promote(self.hidden.bias, x.dtype)
        hidden = linear(x, weight, bias).tanh()
        return linear(hidden, promote(self.score.weight, x.dtype))

    def __repr__(self) -> str:
        return "attention"
