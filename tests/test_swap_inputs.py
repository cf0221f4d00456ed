"""What ``swap_readout`` calls, with which arguments, and what it leaves."""

import copy
import warnings
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import AdaptiveAvgPool2d, Conv2d, Linear, Module, Sequential
from torch_geometric.data import Batch, Data
from torch_geometric.nn import (
    GIN,
    PNA,
    DimeNetPlusPlus,
    EGConv,
    FastRGCNConv,
    GraphSAGE,
    SchNet,
    global_add_pool,
    global_max_pool,
    global_mean_pool,
)
from torch_geometric.nn.aggr import MaxAggregation, MeanAggregation, SumAggregation

from torch_geometric_uotp import swap_readout

EDGES = torch.tensor([[0, 1, 1, 2, 3, 4, 5, 6, 8], [1, 0, 2, 1, 4, 3, 6, 5, 7]])
BATCH = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])
X = torch.randn(9, 5, generator=torch.Generator().manual_seed(1))
MOLECULES = (
    torch.tensor([6, 1, 8, 6, 1, 7, 6, 1, 1]),
    torch.randn(9, 3, generator=torch.Generator().manual_seed(2)),
    BATCH,
)


class Classifier(Module):
    """A network on nodes, and a readout; a second pooling waits unused."""

    def __init__(self, gnn: Module, readout: Module | Callable[..., Tensor]) -> None:
        super().__init__()
        self.gnn = gnn
        self.readout = readout
        self.spare = MaxAggregation()

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        return self.readout(self.gnn(x, edge_index), batch)


class OfTypes(Module):
    """A relational convolution: edges of two types."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = FastRGCNConv(5, 8, num_relations=2)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.conv(x, edge_index, edge_index[0] % 2)


DEGREES = torch.tensor([0, 9, 2])
GRAPH_NETWORKS = {
    "GIN": partial(GIN, 5, 8, num_layers=2),
    "GraphSAGE": partial(GraphSAGE, 5, 8, num_layers=2),
    "PNA": partial(
        PNA,
        5,
        8,
        num_layers=2,
        aggregators=["mean", "std", "max"],
        scalers=["identity"],
        deg=DEGREES,
    ),
    "EGConv": partial(EGConv, 5, 8, num_heads=2),
    "FastRGCNConv": OfTypes,
}
# The aggregations of message passing that the network calls, of those it holds.
INSIDE = {
    "GIN": ["gnn.convs.0.aggr_module", "gnn.convs.1.aggr_module"],
    "GraphSAGE": ["gnn.convs.0.aggr_module", "gnn.convs.1.aggr_module"],
    "PNA": [
        f"gnn.convs.{n}.aggr_module.aggr.aggrs.{member}"
        for n in (0, 1)
        for member in (0, 2)
    ],
    "EGConv": [],
    "FastRGCNConv": [],
}


def swapped(model: Module, inputs: object, **kwargs: object) -> tuple[list, str]:
    """Paths of the new layers, and the warning."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        layers = swap_readout(model, inputs, **kwargs)
    found = [w for w in found if "not called" in str(w.message)]
    assert len(found) <= 1
    assert all(w.filename == __file__ for w in found)
    return list(layers), "".join(str(w.message) for w in found)


def learns(model: Module, *inputs: Tensor) -> None:
    """All parameters that a call reaches have a gradient, and no layer is out of it."""
    model(*inputs).square().sum().backward()
    unused = [n for n, p in model.named_parameters() if p.grad is None]
    assert not [name for name in unused if "coefficient" in name]


@pytest.mark.parametrize("name", GRAPH_NETWORKS)
@pytest.mark.parametrize("message_passing", [False, True])
def test_graph_networks(name: str, message_passing: bool) -> None:
    model = Classifier(GRAPH_NETWORKS[name](), MeanAggregation())
    inputs, spare = (X, EDGES, BATCH), model.spare
    before = model.eval()(*inputs).detach()
    paths, warning = swapped(model, inputs, message_passing=message_passing)
    inside = INSIDE[name] if message_passing else []
    assert sorted(paths) == [*inside, "readout"]
    assert "'spare'" in warning
    assert model.spare is spare
    torch.testing.assert_close(model(*inputs), before, rtol=1e-5, atol=1e-5)
    learns(model, *inputs)


def within_molecules(pos: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
    """All pairs of atoms, and their distances, without pyg-lib."""
    pairs = (batch[:, None] == batch).fill_diagonal_(False).nonzero().T
    return pairs, (pos[pairs[0]] - pos[pairs[1]]).norm(dim=-1)


@pytest.mark.parametrize("readout", ["add", "mean"])
def test_schnet(readout: str) -> None:
    model = SchNet(8, 8, 2, readout=readout, interaction_graph=within_molecules)
    before = model(*MOLECULES).detach()
    paths, warning = swapped(model, MOLECULES)
    assert paths == ["readout"]
    assert warning == "'sum_aggr' was not called with 'inputs', and left alone"
    assert type(model.sum_aggr) is SumAggregation
    torch.testing.assert_close(model(*MOLECULES), before, rtol=1e-5, atol=1e-5)
    learns(model, *MOLECULES)


def test_a_model_that_sums_by_itself_has_nothing_to_replace() -> None:
    model = DimeNetPlusPlus(8, 4, 1, 4, 4, 4, num_spherical=2, num_radial=2)
    with pytest.raises(ValueError, match="must hold a pooling"):
        swap_readout(model, channels=4)


class Branches(Module):
    """Functions as attributes, one of them for training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.extra = global_mean_pool, global_add_pool
        self.inner = Module()
        self.inner.pool = global_max_pool

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        return self.extra(x, batch) if self.training else self.pool(x, batch)


def test_functions_that_are_not_called_stay_functions() -> None:
    model = Branches()
    paths, warning = swapped(model, (X, BATCH))
    assert paths == ["pool.aggr"]
    assert "'inner.pool', 'extra' were not called" in warning
    assert model.extra is global_add_pool
    assert model.inner.pool is global_max_pool


def test_where_a_warning_is_an_error_the_model_is_as_it_was() -> None:
    model = Branches()
    with pytest.raises(UserWarning, match=r"'inner\.pool', 'extra'"):
        swap_readout(model, (X, BATCH))
    assert model.pool is global_mean_pool
    assert not list(model.parameters())


def test_channels_alone_replace_all() -> None:
    layers = swap_readout(SchNet(8, 8, 1), channels=1)
    assert sorted(layers) == ["readout", "sum_aggr"]


def test_a_shared_pooling_is_called_wherever_it_is() -> None:
    model = Classifier(Linear(5, 8), MeanAggregation())
    model.gnn.forward = lambda x, edges: x
    model.spare = model.readout
    paths, warning = swapped(model, (X, EDGES, BATCH))
    assert (sorted(paths), warning) == (["readout", "spare"], "")
    assert model.spare is model.readout


class OnData(Module):
    """Takes a Data object, as many models of graphs do."""

    def __init__(self) -> None:
        super().__init__()
        self.readout = MeanAggregation()

    def forward(self, data: Data) -> Tensor:
        return self.readout(index=data.batch, x=data.x)


GRAPHS = Batch.from_data_list([Data(x=X[:4]), Data(x=X[4:])])


@pytest.mark.parametrize(
    "inputs", [GRAPHS, (GRAPHS,), [GRAPHS], {"data": GRAPHS}, Data(x=X, batch=BATCH)]
)
def test_a_data_object_is_one_argument(inputs: object) -> None:
    model = OnData()
    (layer,) = swap_readout(model, inputs).values()
    assert layer.channels == 5


def test_a_tensor_is_one_argument() -> None:
    model = Sequential(Conv2d(3, 8, 3), AdaptiveAvgPool2d(1))
    (layer,) = swap_readout(model, torch.randn(2, 3, 9, 9)).values()
    assert layer.readout.channels == 8


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (Data(x=X), r"\(x, edge_index, batch\): missing .*'edge_index' \(got Data\)"),
        (X, r"missing a required argument: 'edge_index' \(got Tensor\)"),
        ((X, EDGES, BATCH, 3), r"too many .*\(got Tensor, Tensor, Tensor, int\)"),
        ({"x": X, "edges": EDGES}, r"\(got x=Tensor, edges=Tensor\)"),
        ((), "missing a required argument: 'x'"),
    ],
)
def test_inputs_that_do_not_fit_are_named(inputs: object, message: str) -> None:
    model = Classifier(GIN(5, 8, 1), global_mean_pool)
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match=f"'inputs' must be what one call .*{message}"):
        swap_readout(model, inputs)
    assert str(model) == str(before)


def test_an_error_of_the_model_says_what_it_was_called_with() -> None:
    with pytest.raises(AttributeError) as error:
        swap_readout(OnData(), X)
    assert error.value.__notes__ == ["'inputs' called the model with (Tensor)"]


class OfNumbers(Module):
    """Sums one number a node, without an axis of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.readout = SumAggregation()

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        return self.readout(x, batch, dim=0)


def test_inputs_of_a_pooling_without_channels_are_named() -> None:
    with pytest.raises(ValueError, match=r"'readout' must read nodes .*shape \(9,\)"):
        swap_readout(OfNumbers(), (X[:, 0], BATCH))
