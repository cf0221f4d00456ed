r"""Several transports side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import Linear, Module, ModuleList
from torch.nn.functional import linear
from torch_geometric.nn.aggr import Aggregation

from torch_geometric_uotp.aggr.given_prior import GivenPriorUOTP
from torch_geometric_uotp.nodes import nodes_first
from torch_geometric_uotp.precision import promote
from torch_geometric_uotp.priors import UniformPrior, prior_resolver
from torch_geometric_uotp.scores import NormalisedScores
from torch_geometric_uotp.segments import Segments


@dataclass(frozen=True)
class Transport:
    r"""Where one of the transports of a :class:`MultiUOTPAggregation` starts.

    Args:
        alpha0 (float): :math:`\alpha_0`: large for averages, small for maxima.
        mapped (bool): Whether its scores are :math:`\mathrm{LN}(W x_n)` or
            :math:`\mathrm{LN}(x_n)`. (default: :obj:`False`)
        size_power (float, optional): As in :class:`UOTPAggregation`.
            (default: no such factor)
    """

    alpha0: float
    mapped: bool = False
    size_power: float | None = None


# A sum, an average of what a learned map selects, and nearly a maximum.
TRANSPORTS = (
    Transport(20.0, size_power=1.0),
    Transport(0.5, mapped=True),
    Transport(0.25),
)


class MultiUOTPAggregation(Aggregation):
    r"""Several transports of each set, side by side.

    The transports, each a :class:`UOTPAggregation` of all channels, start apart:
    by default as a sum, as a softmax of learned scores, and as nearly a maximum.
    Each is solved for scores that are normalised in each node,
    :math:`\mathrm{LN}(x_n)` or :math:`\mathrm{LN}(W x_n)`, and averages the
    features. One learned node prior :math:`q_0` serves them all: a node that one
    of them learns to ignore is ignored by each. The output is
    :math:`[f^{(1)}; \dots; f^{(T)}]`, or a linear map of it.

    Unlike :class:`UOTPAggregation`, which has a handful of parameters and is
    cheaper than a maximum, this is a small network, with F² weights for the prior
    and for each map of scores.

    Args:
        channels (int): Size of each input sample, F.
        out_channels (int, optional): Size of each output sample, where a linear map
            without bias leads to it. (default: T F, without a map)
        transports (sequence): A :class:`Transport` for each of the T transports.
            (default: the three above)
        node_prior (str or torch.nn.Module): As in :class:`UOTPAggregation`, with one
            logit a node. (default: ``attention``)
        solver (str): As in :class:`UOTPAggregation`. (default: ``sinkhorn``)
        num_steps (int, optional): Likewise. (default: :obj:`4`)
        alpha2_ratio (float): :math:`\alpha_2 / \alpha_0` at the start; at 0 the
            channels of a transport have nothing in common but the prior.
            (default: :obj:`9.0`)
        learn (bool): Whether the transports' coefficients are parameters, or
            buffers. (default: :obj:`True`)

    Shapes:
        - **input:** node features :math:`(*, |\mathcal{V}|, F)`, any floating
          type (half precision is computed in float32), index vector
          :math:`(|\mathcal{V}|)` in any order
        - **output:** set features :math:`(*, |\mathcal{G}|, F_{out})` of the same
          type, 0 for an empty set

    Raises:
        ValueError: If an argument is not as above.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int | None = None,
        transports: Sequence[Transport] = TRANSPORTS,
        node_prior: str | Module = "attention",
        solver: str = "sinkhorn",
        num_steps: int | None = None,
        alpha2_ratio: float = 9.0,
        learn: bool = True,
    ) -> None:
        super().__init__()
        if len(transports) == 0:
            raise ValueError("'transports' must hold at least one (got none)")
        width = len(transports) * channels
        self.channels = channels
        self.out_channels = width if out_channels is None else out_channels
        if min(channels, self.out_channels) < 1:
            raise ValueError(
                "'channels' and 'out_channels' must be at least 1 (got "
                f"{channels} and {out_channels})"
            )
        self.node_prior = prior_resolver(node_prior, channels, heads=1)
        self.transports = ModuleList(
            GivenPriorUOTP(
                channels,
                solver=solver,
                num_steps=num_steps,
                alpha0=start.alpha0,
                alpha1=start.alpha0,
                alpha2=alpha2_ratio * start.alpha0,
                learn=learn,
                scores=NormalisedScores(channels, start.mapped),
                size_power=start.size_power,
            )
            for start in transports
        )
        self.map = (
            None if out_channels is None else Linear(width, out_channels, bias=False)
        )

    def reset_parameters(self) -> None:
        """Go back to the initial coefficients; draw new weights."""
        for module in (self.node_prior, *self.transports, self.map):
            reset = getattr(module, "reset_parameters", None)
            if reset is not None:
                reset()

    def coefficients(self) -> dict[str, Tensor]:
        """The present coefficients of each transport, detached, of shape [1, T].

        They are those of :meth:`UOTPAggregation.coefficients`, without
        ``size_power``.
        """
        tables = [transport.coefficients() for transport in self._all()]
        names = [name for name in tables[0] if name != "size_power"]
        return {name: torch.cat([table[name] for table in tables], 1) for name in names}

    def forward(
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
    ) -> Tensor:
        """Pool the nodes of each set.

        Args:
            x (torch.Tensor): The nodes' features.
            index (torch.Tensor, optional): The set of each node, in any order.
            ptr (torch.Tensor, optional): The boundaries of contiguous sets.
            dim_size (int, optional): The number of sets.
            dim (int): The axis of the nodes, any but the last.
                (default: :obj:`-2`)

        Raises:
            ValueError: If the input is not as above; nothing is computed then.
        """
        nodes = nodes_first(x, dim, self.channels)
        segments = Segments.build(nodes.size(0), index, ptr, dim_size, x.device)
        dtype = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            nodes = promote(nodes, dtype)
            prior = self._log_prior(nodes)
            shape = (segments.num_sets, *nodes.shape[1:])
            pooled = torch.cat(
                [
                    transport.pool(nodes, segments, prior).pooled.view(shape)
                    for transport in self._all()
                ],
                dim=-1,
            )
            if self.map is not None:
                pooled = linear(pooled, promote(self.map.weight, dtype))
        return pooled.movedim(0, dim).to(x.dtype)

    def _all(self) -> list[GivenPriorUOTP]:
        return cast(list[GivenPriorUOTP], list(self.transports))

    def _log_prior(self, nodes: Tensor) -> Tensor | None:
        if isinstance(self.node_prior, UniformPrior):
            return None
        logits: Tensor = self.node_prior(nodes)
        return logits

    def __repr__(self) -> str:
        transports = ", ".join(
            f"{transport.scores}: {_described(transport.coefficients())}"
            for transport in self._all()
        )
        return (
            f"{type(self).__name__}({self.channels}, {self.out_channels}, "
            f"node_prior={self.node_prior}, transports=[{transports}])"
        )


def _described(table: dict[str, Tensor]) -> str:
    shown = ("t", "r_q", "size_power")
    return " ".join(
        f"{name}={table[name].item():.3g}" for name in shown if name in table
    )
