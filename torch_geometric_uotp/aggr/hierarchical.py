r"""Several poolings, combined by a transport between their outputs."""

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import Module, ModuleList, Parameter
from torch.nn.functional import linear
from torch_geometric.nn.aggr import Aggregation
from torch_geometric.nn.inits import reset
from torch_geometric.nn.resolver import aggregation_resolver

from torch_geometric_uotp.aggr.given_prior import GivenPriorUOTP
from torch_geometric_uotp.aggr.readout import Readout
from torch_geometric_uotp.aggr.uotp import UOTPAggregation
from torch_geometric_uotp.arguments import check_choice
from torch_geometric_uotp.bounded import bound_gradient, limited, spread
from torch_geometric_uotp.conventional import check_reached
from torch_geometric_uotp.nodes import nodes_first, unshared
from torch_geometric_uotp.precision import (
    Promoting,
    applied,
    outside_autocast,
    promote,
)
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.state import Described, Settings


class SharedWeights(Promoting):
    """One weight of each of M poolings and H heads, the same for all sets.

    Args:
        channels (int): F, not used.
        poolings (int): M.
        heads (int): H.
    """

    def __init__(self, channels: int, poolings: int, heads: int) -> None:
        super().__init__()
        self.logits = Parameter(torch.empty(poolings, heads))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Go back to equal weights."""
        torch.nn.init.zeros_(self.logits)

    def forward(self, nodes: Tensor, segments: Segments) -> Tensor:
        """Logits of shape [G, *, M, H] for nodes of shape [N, *, F]."""
        logits, sets = promote(self.logits, nodes.dtype), segments.num_sets
        axes = nodes.shape[1:-1]
        of_sets = spread(logits.flatten(), sets).view(
            sets, *[1] * len(axes), *logits.shape
        )
        return of_sets.expand(sets, *axes, *logits.shape)


class GatedWeights(Promoting):
    r"""Weights of each set from its nodes, with the logits :math:`W \sum_n x_n`.

    Args:
        channels (int): F.
        poolings (int): M.
        heads (int): H.
    """

    def __init__(self, channels: int, poolings: int, heads: int) -> None:
        super().__init__()
        self.weight = Parameter(torch.empty(poolings, heads, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Go back to equal weights."""
        torch.nn.init.zeros_(self.weight)

    def forward(self, nodes: Tensor, segments: Segments) -> Tensor:
        """Logits of shape [G, *, M, H] for nodes of shape [N, *, F]."""
        # Both limits: the gradient of a weight is a product with the sums.
        weight = promote(self.weight, nodes.dtype)
        rows, sums = bound_gradient(weight.flatten(0, 1)), limited(segments.sum(nodes))
        logits = bound_gradient(linear(sums, rows))
        return logits.view(*logits.shape[:-1], *weight.shape[:2])


WEIGHTS: dict[str, type[SharedWeights] | type[GatedWeights]] = {
    "shared": SharedWeights,
    "gated": GatedWeights,
}
LISTS = (list, tuple, ModuleList)
POOLINGS = {"mixed": "shared", "gated": "gated"}


class HierarchicalUOTPAggregation(Promoting, Described, Readout):
    r"""A hierarchical pooling of `"Regularized Optimal Transport Layers for
    Generalized Global Pooling Operations" <https://arxiv.org/abs/2212.06339>`_.

    Each set is pooled in M ways. The results are M nodes in their turn, and a
    :class:`UOTPAggregation` pools these, its node prior being weights of the
    poolings. They are learned, the same for all sets (*shared*) or a function of
    the set (*gated*). With mean and max pooling, and a transport that follows
    that prior, this is

    .. math::
        f = (1 - \omega) \, \mathrm{mean}_n x_n + \omega \max_n x_n, \qquad
        \omega = \sigma(\theta) \;\text{ or }\; \sigma(\textstyle\sum_n w^\top x_n),

    the mixed and the gated pooling of `"Generalizing Pooling Functions in
    Convolutional Neural Networks: Mixed, Gated, and Tree"
    <https://arxiv.org/abs/1509.08985>`_ (:meth:`like`).

    Args:
        channels (int): Size of each input sample, and of each pooling's output.
        poolings (list, optional): Aggregations, or names that PyTorch Geometric
            resolves (those of this package are given the number of channels).
            They are called with an ``index``, sorted or not, and nodes of float32
            or better, or of the type of their own weights. What a layer of this
            kind keeps of the contract of the others depends on them.
            (default: mean and max, as transports)
        weights (str or torch.nn.Module): ``shared``, ``gated``, or a module that
            is called with nodes [N, *, F] and the
            :class:`~torch_geometric_uotp.segments.Segments` of them, and returns
            logits [G, *, M, heads]. (default: ``shared``)
        **kwargs (optional): Further arguments of the :class:`UOTPAggregation`
            that combines, but for ``node_prior``.

    Shapes:
        - **input:** node features :math:`(*, |\mathcal{V}|, F)`, any floating
          type (half precision is computed in float32), index vector
          :math:`(|\mathcal{V}|)`
        - **output:** set features :math:`(*, |\mathcal{G}|, F)` of the same
          type, 0 for an empty set

    Raises:
        ValueError: If an argument is not as above.
    """

    def __init__(
        self,
        channels: int,
        poolings: Sequence[str | Aggregation] | None = None,
        weights: str | Module = "shared",
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if "node_prior" in kwargs:
            raise ValueError("'weights' are the node prior: give them instead")
        self.channels = channels
        self.combine = GivenPriorUOTP(channels, **kwargs)
        if poolings is None:
            poolings = [_exactly("mean", channels), _exactly("max", channels)]
        if not isinstance(poolings, LISTS) or len(poolings) == 0:
            raise ValueError(
                "'poolings' must be a list of at least one name or aggregation (got "
                f"{poolings or 'none'})"
            )
        self.poolings = ModuleList(_pooling(given, channels) for given in poolings)
        self.weights = _weights(weights, channels, len(poolings), self.combine.heads)

    @classmethod
    def like(cls, name: str, channels: int, **kwargs: Any) -> Self:
        """A layer that now is mixed or gated pooling, and learns from there.

        With ``learn=False`` it stays so: what learns is its weights alone.

        Args:
            name (str): ``mixed`` or ``gated``.
            channels (int): Size of each input sample.
            **kwargs (optional): Further arguments of the layer, which take
                precedence over those that make it that pooling.

        Raises:
            ValueError: If there is no such pooling here, or the solver does not
                reach it in a finite number of steps.
        """
        check_choice("name", name, POOLINGS)
        check_reached(name, **kwargs)
        follow = {"alpha0": math.inf, "alpha1": math.inf, "alpha2": math.inf}
        return cls(channels, **{"weights": POOLINGS[name], **follow, **kwargs})

    def reset_parameters(self) -> None:
        """Reset the poolings, their weights and the coefficients."""
        for module in self.children():
            reset(module)

    def settings(self) -> Settings:
        names: dict[type[Module], str] = {kind: name for name, kind in WEIGHTS.items()}
        return {
            "channels": int(self.channels),
            "poolings": [type(pooling).__name__ for pooling in self.poolings],
            "weights": names.get(type(self.weights), "module"),
        }

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
            index (torch.Tensor, optional): The set of each node.
            ptr (torch.Tensor, optional): The boundaries of contiguous sets.
            dim_size (int, optional): The number of sets.
            dim (int): The axis of the nodes, any but the last.
                (default: :obj:`-2`)

        Raises:
            ValueError: If the input is not as above, if a pooling returns
                another number of channels, or ``weights`` another shape.
        """
        nodes = nodes_first(x, dim, self.channels)
        # Once for all poolings, so that the sum of their gradients saturates too.
        nodes = promote(nodes, torch.promote_types(x.dtype, torch.float32))
        segments = Segments.build(nodes.size(0), index, ptr, dim_size, x.device)
        outputs = [self._pool(pooling, nodes, segments) for pooling in self.poolings]
        sets = torch.arange(segments.num_sets + 1, device=x.device)
        pooled = self.combine(
            torch.stack(outputs, 1).flatten(0, 1),
            ptr=sets * len(outputs),
            dim=0,
            node_prior=self._log_prior(nodes, segments),
        )
        return unshared(segments.fill_empty(pooled, 0).movedim(0, dim).to(x.dtype))

    def _pool(self, pooling: Module, nodes: Tensor, segments: Segments) -> Tensor:
        """What one pooling returns, of shape [G, *, F]."""
        sets = (segments.index, None, segments.num_sets)
        pooled = applied(pooling, nodes.movedim(0, -2), nodes.dtype, *sets, -2)
        if pooled.size(-1) != self.channels:
            raise ValueError(
                f"every pooling must return {self.channels} channels (got "
                f"{pooled.size(-1)} from {pooling})"
            )
        return pooled.movedim(-2, 0)

    def _log_prior(self, nodes: Tensor, segments: Segments) -> Tensor:
        """Logits of the poolings, of shape [G M, *, heads]."""
        with outside_autocast(nodes.device):
            logits = applied(self.weights, nodes, nodes.dtype, segments)
        sets = (segments.num_sets, *nodes.shape[1:-1], len(self.poolings))
        if logits.shape[:-1] != sets or logits.size(-1) not in (1, self.combine.heads):
            raise ValueError(
                f"'weights' must return logits of shape {(*sets, self.combine.heads)} "
                f"(got {tuple(logits.shape)})"
            )
        return logits.movedim(-2, 1).flatten(0, 1)

    def __repr__(self) -> str:
        poolings = ", ".join(map(str, self.poolings))
        return (
            f"{type(self).__name__}({self.channels}, poolings=[{poolings}], "
            f"weights={type(self.weights).__name__}, combine={self.combine})"
        )


def _exactly(name: str, channels: int) -> Aggregation:
    # A conventional pooling is solved in a single step.
    return UOTPAggregation.like(name, channels, num_steps=1, learn=False)


def _pooling(given: str | Aggregation, channels: int) -> Aggregation:
    if isinstance(given, Aggregation):
        return given
    if not isinstance(given, str):
        raise ValueError(f"'poolings' must be names or aggregations (got {given!r})")
    for arguments in ({}, {"channels": channels}):
        with suppress(TypeError):
            return aggregation_resolver(given, **arguments)
    raise ValueError(
        f"'{given}' cannot be made of a number of channels: give the aggregation itself"
    )


def _weights(given: str | Module, channels: int, poolings: int, heads: int) -> Module:
    if isinstance(given, Module):
        return given
    if not isinstance(given, str) or given not in WEIGHTS:
        raise ValueError(
            f"'weights' must be one of {sorted(WEIGHTS)} or a module (got {given!r})"
        )
    return WEIGHTS[given](channels, poolings, heads)
