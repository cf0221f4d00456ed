r"""Registration with PyTorch Geometric, so that layers are found by name."""

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import torch_geometric.nn.aggr
from torch_geometric.nn.aggr import Aggregation

from torch_geometric_uotp.aggr import (
    HierarchicalUOTPAggregation,
    ROTPAggregation,
    UOTPAggregation,
)

LAYERS: dict[str, type[Aggregation]] = {
    "uotp": UOTPAggregation,
    "rotp": ROTPAggregation,
    "hierarchicaluotp": HierarchicalUOTPAggregation,
}


class PoolingFactories(dict[str, Any]):
    """GraphGym's registry of poolings, with entries that are made when read.

    GraphGym stores what it reads as an attribute of the model's head and calls
    it with (x, batch). A layer registered as such would be one and the same in
    every model of a process; here each model gets its own.
    """

    def __init__(
        self, poolings: dict[str, Any], factories: dict[str, Callable[[], Aggregation]]
    ) -> None:
        super().__init__(poolings)
        self.factories = factories

    def __contains__(self, name: object) -> bool:
        return name in self.factories or super().__contains__(name)

    def __getitem__(self, name: str) -> Any:
        if name in self.factories:
            return self.factories[name]()
        return super().__getitem__(name)


def register() -> None:
    """Make the layers known to the aggregation resolver and to GraphGym.

    Importing :mod:`torch_geometric_uotp` does this; doing it again is harmless.
    GraphGym is left alone where it cannot be configured, for want of yacs.
    """
    for layer in LAYERS.values():
        setattr(torch_geometric.nn.aggr, layer.__name__, layer)
    if importlib.util.find_spec("yacs") is not None:
        _register_with_graphgym()


def _register_with_graphgym() -> None:
    with warnings.catch_warnings():
        # Merely importing GraphGym warns where PyTorch Lightning is missing.
        warnings.simplefilter("ignore")
        import torch_geometric.graphgym.register as graphgym

    if isinstance(graphgym.pooling_dict, PoolingFactories):
        return
    factories = {name: _configured(layer) for name, layer in LAYERS.items()}
    graphgym.pooling_dict = PoolingFactories(graphgym.pooling_dict, factories)


def _configured(layer: type[Aggregation]) -> Callable[[], Aggregation]:
    def make() -> Aggregation:
        from torch_geometric.graphgym.config import cfg

        return layer(cfg.gnn.dim_inner)

    return make
