r"""PyG's pooling functions as a module."""

from torch import Tensor
from torch.nn import Module
from torch_geometric.nn import global_add_pool, global_max_pool, global_mean_pool
from torch_geometric.nn.aggr import Aggregation
from torch_geometric.nn.resolver import aggregation_resolver

from torch_geometric_uotp.arguments import (
    check_count,
    check_integers,
    check_tensor,
)

FUNCTIONS = {global_mean_pool: "mean", global_max_pool: "max", global_add_pool: "sum"}


class GlobalPool(Module):
    r"""``global_mean_pool``, ``global_max_pool`` or ``global_add_pool`` as a module.

    It is called as they are. A model that calls a function in its ``forward`` can
    keep ``self.pool = GlobalPool("mean")`` instead, still loads the weights it
    had, and is one :func:`~torch_geometric_uotp.swap_readout` can work on.

    Args:
        aggr (str or Aggregation): The pooling, an aggregation or the name of one,
            such as ``mean``, ``max``, ``sum``.

    Shapes:
        - **input:** node features :math:`(*, |\mathcal{V}|, F)`, or
          :math:`(|\mathcal{V}|)` with one channel; the set of each node
          :math:`(|\mathcal{V}|)`, or :obj:`None` where all form one
        - **output:** set features :math:`(*, |\mathcal{G}|, F)` or
          :math:`(|\mathcal{G}|)`; as PyG's functions have it, without that axis
          for one set and extra axes

    Raises:
        ValueError: If ``aggr`` is neither an aggregation nor the name of one.
    """

    def __init__(self, aggr: str | Aggregation) -> None:
        super().__init__()
        self.aggr = _resolved(aggr)

    def reset_parameters(self) -> None:
        """Reset those of the pooling."""
        self.aggr.reset_parameters()

    def forward(
        self, x: Tensor, batch: Tensor | None, size: int | None = None
    ) -> Tensor:
        """Pool the nodes of each set.

        Args:
            x (torch.Tensor): The nodes' features.
            batch (torch.Tensor, optional): The set of each node.
            size (int, optional): The number of sets. Without ``batch`` it counts
                for nothing, as in PyG's functions.

        Raises:
            ValueError: If ``x`` or ``batch`` is no tensor, ``size`` no integer, or
                they are not as the pooling takes them.
        """
        check_tensor("x", x)
        if batch is not None:
            check_integers("batch", batch)
        if size is not None:
            check_count("size", size, least=0)
        if x.dim() == 1:
            return self.forward(x.unsqueeze(-1), batch, size).squeeze(-1)
        pooled: Tensor = self.aggr(x, batch, dim_size=None if batch is None else size)
        return pooled.squeeze(-2) if batch is None and x.dim() > 2 else pooled


def _resolved(aggr: str | Aggregation) -> Aggregation:
    try:
        found = aggregation_resolver(aggr)
    except TypeError as error:
        raise ValueError(
            f"'{aggr}' cannot be made of its name alone: give the aggregation itself"
        ) from error
    if not isinstance(found, Aggregation):
        raise ValueError(
            f"'aggr' must be an aggregation or the name of one (got {aggr!r})"
        )
    return found
