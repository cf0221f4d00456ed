import subprocess
import sys

import pytest
import torch
from torch.nn import Linear
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GIN, GCNConv, SAGEConv
from torch_geometric.nn.aggr import DegreeScalerAggregation, MultiAggregation
from torch_geometric.nn.resolver import aggregation_resolver

from torch_geometric_uotp import (
    HierarchicalUOTPAggregation,
    ROTPAggregation,
    UOTPAggregation,
    register,
)

EDGES = torch.tensor([[0, 1, 2, 3, 0, 4], [1, 0, 3, 2, 4, 4]])


@pytest.mark.parametrize(
    "name", ["uotp", "UOTP", "UOTPAggregation", "uotp-aggregation"]
)
def test_found_by_name(name: str) -> None:
    layer = aggregation_resolver(name, channels=8, heads=2)
    assert isinstance(layer, UOTPAggregation)
    assert (layer.channels, layer.heads) == (8, 2)


@pytest.mark.parametrize(
    ("name", "layer"),
    [("rotp", ROTPAggregation), ("hierarchicaluotp", HierarchicalUOTPAggregation)],
)
def test_other_layers_found_by_name(name: str, layer: type) -> None:
    assert type(aggregation_resolver(name, channels=8)) is layer
    conv = SAGEConv(8, 5, aggr=name, aggr_kwargs={"channels": 8})
    trains(conv, conv(torch.randn(6, 8), EDGES))


def test_registering_again_is_harmless() -> None:
    register()
    register()
    assert isinstance(aggregation_resolver("uotp", channels=4), UOTPAggregation)


def trains(module: torch.nn.Module, output: torch.Tensor) -> None:
    output.square().sum().backward()
    assert all(p.grad is not None for p in module.parameters())
    assert all(p.grad.isfinite().all() for p in module.parameters())


def test_in_message_passing() -> None:
    conv = SAGEConv(8, 5, aggr="uotp", aggr_kwargs={"channels": 8})
    out = conv(torch.randn(6, 8), EDGES)
    assert out.shape == (6, 5)
    trains(conv, out)


def test_in_message_passing_by_convolutions_of_other_arguments() -> None:
    conv = GCNConv(8, 4, aggr="uotp", aggr_kwargs={"channels": 4, "solver": "badmm"})
    out = conv(torch.randn(6, 8), EDGES)
    assert out.shape == (6, 4)
    trains(conv, out)


def test_a_start_of_groups_in_message_passing() -> None:
    conv = SAGEConv(8, 5, aggr=UOTPAggregation.spread(8))
    trains(conv, conv(torch.randn(6, 8), EDGES))


def test_in_multi_aggregation() -> None:
    aggr = MultiAggregation(["mean", "uotp"], [{}, {"channels": 8}])
    out = aggr(torch.randn(6, 8), torch.tensor([0, 0, 1, 1, 1, 3]))
    assert out.shape == (4, 16)
    trains(aggr, out)


def test_in_degree_scaler_aggregation() -> None:
    aggr = DegreeScalerAggregation(
        ["mean", "uotp"],
        ["identity", "amplification"],
        deg=torch.tensor([0, 3, 2, 1]),
        aggr_kwargs=[{}, {"channels": 8}],
    )
    out = aggr(torch.randn(6, 8), torch.tensor([0, 0, 1, 1, 1, 3]))
    assert out.shape == (4, 32)
    trains(aggr, out)


def graphgym_head(width: int, pooling: str = "uotp") -> torch.nn.Module:
    graphgym = pytest.importorskip("torch_geometric.graphgym")
    pytest.importorskip("yacs", reason="GraphGym needs yacs")
    graphgym.set_cfg(graphgym.cfg)
    graphgym.cfg.model.graph_pooling = pooling
    graphgym.cfg.gnn.dim_inner = width
    from torch_geometric.graphgym.models.head import GNNGraphHead

    return GNNGraphHead(width, 3)


def test_in_graphgym_each_model_has_its_own() -> None:
    head, other = graphgym_head(8), graphgym_head(8)
    assert isinstance(head.pooling_fun, UOTPAggregation)
    assert head.pooling_fun is not other.pooling_fun
    graph = Data(x=torch.randn(4, 8), edge_index=EDGES[:, :4], y=torch.tensor([1]))
    prediction, _ = head(Batch.from_data_list([graph, graph]))
    assert prediction.shape == (2, 3)
    trains(head, prediction)
    assert other.pooling_fun.coefficient.t.grad is None


@pytest.mark.parametrize(
    ("pooling", "layer"),
    [("rotp", ROTPAggregation), ("hierarchicaluotp", HierarchicalUOTPAggregation)],
)
def test_other_layers_in_graphgym(pooling: str, layer: type) -> None:
    assert isinstance(graphgym_head(8, pooling).pooling_fun, layer)


def test_in_graphgym_beside_its_own_poolings() -> None:
    pytest.importorskip("yacs", reason="GraphGym needs yacs")
    import torch_geometric.graphgym.register as graphgym
    from torch_geometric.graphgym.config import cfg

    assert "uotp" in graphgym.pooling_dict
    assert callable(graphgym.pooling_dict["mean"])
    assert {"uotp", "mean"} <= {*graphgym.pooling_dict}
    cfg.gnn.dim_inner = 8
    assert isinstance(graphgym.pooling_dict.get("uotp"), UOTPAggregation)
    graphgym.register_pooling("another", torch.nn.Identity())
    assert "another" in graphgym.pooling_dict
    del graphgym.pooling_dict["another"]
    with pytest.raises(KeyError, match="unknown"):
        graphgym.pooling_dict["unknown"]


def test_import_is_silent() -> None:
    """Nothing is printed or warned of, whatever GraphGym lacks."""
    command = [sys.executable, "-W", "error", "-c"]
    ignore = "import warnings; warnings.filterwarnings('ignore', module='torch'); "
    done = subprocess.run(
        [*command, ignore + "import torch_geometric_uotp"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout + done.stderr == ""


def test_in_a_graph_classifier() -> None:
    gnn = GIN(8, 16, num_layers=2)
    readout = aggregation_resolver("uotp", channels=16)
    classifier = Linear(16, 2)
    batch = torch.tensor([0, 0, 1, 1, 1])
    logits = classifier(readout(gnn(torch.randn(5, 8), EDGES), batch))
    trains(torch.nn.ModuleList([gnn, readout, classifier]), logits)
