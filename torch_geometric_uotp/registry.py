r"""Registration with PyTorch Geometric, so that layers are found by name."""

import importlib.util
import warnings
from collections import UserDict
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Factory:
    """A layer of the configured width, to be made when it is read."""

    layer: type[Aggregation]

    def make(self) -> Aggregation:
        """Make one; GraphGym has been configured by then."""
        from torch_geometric.graphgym.config import cfg

        return self.layer(cfg.gnn.dim_inner)


class Poolings(UserDict[str, Any]):
    """GraphGym's registry of poolings, with layers that are made when read.

    GraphGym stores what it reads as an attribute of the model's head and calls
    it with (x, batch). A layer registered as such would be one and the same in
    every model of a process; here each model gets its own.
    """

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        return value.make() if isinstance(value, Factory) else value


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

    if isinstance(graphgym.pooling_dict, Poolings):
        return
    layers = {name: Factory(layer) for name, layer in LAYERS.items()}
    graphgym.pooling_dict = Poolings(graphgym.pooling_dict | layers)
