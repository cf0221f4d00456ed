import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import (
    AdaptiveAvgPool2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    Module,
    ModuleList,
    Sequential,
)
from torch_geometric.nn import (
    GINConv,
    SAGEConv,
    global_add_pool,
    global_max_pool,
    global_mean_pool,
)
from torch_geometric.nn.aggr import (
    AttentionalAggregation,
    MaxAggregation,
    MeanAggregation,
    MedianAggregation,
    MultiAggregation,
    Set2Set,
    SoftmaxAggregation,
    SumAggregation,
)

from tests.residual import ResNet, torchvision_resnet
from torch_geometric_uotp import (
    GlobalPool,
    UOTPAggregation,
    UOTPPool2d,
    swap_readout,
)
from torch_geometric_uotp.converters import CONVERTERS, Converter

INPUTS = (
    torch.randn(9, 5, generator=torch.Generator().manual_seed(1)),
    torch.tensor([[0, 1, 1, 2, 3, 4, 5, 6, 8], [1, 0, 2, 1, 4, 3, 6, 5, 7]]),
    torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2]),
)


class Classifier(Module):
    """A GNN of 8 channels, a readout and a head."""

    def __init__(self, readout: Module | Callable[..., Tensor], width: int = 8) -> None:
        super().__init__()
        self.conv = GINConv(Linear(5, 8))
        self.readout = readout
        self.head = Linear(width, 3)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        return self.head(self.readout(self.conv(x, edge_index).relu(), batch))


def per_channel() -> SoftmaxAggregation:
    module = SoftmaxAggregation(learn=True, channels=8)
    with torch.no_grad():
        module.t.uniform_(0.1, 4)
    return module


READOUTS = {
    "mean": MeanAggregation,
    "max": MaxAggregation,
    "sum": SumAggregation,
    "softmax": per_channel,
    "attention": lambda: AttentionalAggregation(Linear(8, 1)),
    "global_mean_pool": lambda: global_mean_pool,
    "global_max_pool": lambda: global_max_pool,
    "global_add_pool": lambda: global_add_pool,
    "module": lambda: GlobalPool("max"),
}


@pytest.mark.parametrize("name", READOUTS)
@pytest.mark.parametrize("given", ["inputs", "channels"])
def test_outputs_stay_and_all_coefficients_learn(name: str, given: str) -> None:
    model = Classifier(READOUTS[name]())
    before = model(*INPUTS).detach()
    layers = swap_readout(model, **{"inputs": INPUTS, "channels": 8, given: None})
    torch.testing.assert_close(model(*INPUTS), before, rtol=1e-6, atol=1e-6)
    ((path, layer),) = layers.items()
    assert model.get_submodule(path) is layer
    assert isinstance(layer, UOTPAggregation)
    model(*INPUTS).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", READOUTS)
def test_in_double_precision_outputs_stay_to_the_last_places(name: str) -> None:
    model = Classifier(READOUTS[name]()).double()
    inputs = (INPUTS[0].double(), *INPUTS[1:])
    before = model(*inputs).detach()
    swap_readout(model, inputs)
    torch.testing.assert_close(model(*inputs), before, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", ["mean", "max", "sum", "attention", "softmax"])
def test_a_swapped_readout_leaves_the_limit_it_starts_at(name: str) -> None:
    """Larger outputs ask for a larger t, smaller ones for a smaller."""
    model = Classifier(READOUTS[name]())
    (layer,) = swap_readout(model, INPUTS).values()
    before = layer.coefficients()["t"]
    sign = -1 if name == "max" else 1
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(10):
        optimizer.zero_grad()
        x = torch.randn(9, 8)
        (-sign * layer(x, INPUTS[2]).sum()).backward()
        optimizer.step()
    after = layer.coefficients()["t"]
    change = after / (1 + after) - (before / (1 + before)).nan_to_num(1)
    assert (sign * change > 0.01).all()


class Energy(Module):
    """A sum of one number a node."""

    def __init__(self, readout: Callable[..., Tensor]) -> None:
        super().__init__()
        self.energy = Linear(5, 1)
        self.readout = readout

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor | None) -> Tensor:
        return self.readout(self.energy(x).squeeze(-1), batch)


@pytest.mark.parametrize("arguments", [{"inputs": INPUTS}, {"channels": 1}])
@pytest.mark.parametrize(
    "readout", [global_add_pool, global_mean_pool, global_max_pool, GlobalPool("sum")]
)
def test_nodes_may_have_one_number_each(readout, arguments: dict) -> None:
    model = Energy(copy.deepcopy(readout))
    batches = (INPUTS, (*INPUTS[:2], None))
    before = [model(*batch) for batch in batches]
    swap_readout(model, **arguments)
    after = [model(*batch) for batch in batches]
    torch.testing.assert_close(after, before, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("members", [["mean", "std", "max"], ["sum"], ["var", "mean"]])
@pytest.mark.parametrize("mode", ["cat", "sum"])
def test_members_of_a_multi_aggregation(members: list[str], mode: str) -> None:
    readout = MultiAggregation(members, mode=mode)
    model = Classifier(readout, width=readout.get_out_channels(8))
    before = model(*INPUTS).detach()
    layers = swap_readout(model, INPUTS)
    torch.testing.assert_close(model(*INPUTS), before, rtol=1e-6, atol=1e-6)
    replaced = [n for n, name in enumerate(members) if name not in ("std", "var")]
    assert list(layers) == [f"readout.aggrs.{n}" for n in replaced]
    assert [readout.is_fused_aggr[n] for n in replaced] == [False] * len(replaced)


def test_a_multi_aggregation_may_be_the_model() -> None:
    model, x = MultiAggregation(["mean", "std", "max"]), torch.randn(5, 4)
    index = torch.tensor([0, 0, 1, 1, 1])
    before = model(x, index)
    assert list(swap_readout(model, (x, index))) == ["aggrs.0", "aggrs.2"]
    torch.testing.assert_close(model(x, index), before)


def test_a_shared_readout_stays_shared() -> None:
    model = Classifier(MeanAggregation())
    model.again = ModuleList([model.readout])
    layers = swap_readout(model, INPUTS)
    assert set(layers) == {"readout", "again.0"}
    assert model.again[0] is model.readout


def test_other_arguments_reach_the_layers() -> None:
    model = Classifier(MeanAggregation())
    kwargs = {"solver": "badmm", "heads": 2, "share_steps": False, "alpha2": 9.0}
    (layer,) = swap_readout(model, INPUTS, **kwargs).values()
    assert layer.heads == 2
    assert layer.coefficients()["r_q"].shape == (3, 2)


def test_message_passing_is_left_alone_unless_asked_for() -> None:
    def make() -> Classifier:
        torch.manual_seed(0)
        model = Classifier(MeanAggregation())
        model.conv = SAGEConv(5, 8)
        return model

    before = make()(*INPUTS)
    model = make()
    assert set(swap_readout(model, INPUTS)) == {"readout"}
    model = make()
    layers = swap_readout(model, INPUTS, message_passing=True)
    assert {path: layer.channels for path, layer in layers.items()} == {
        "conv.aggr_module": 5,
        "readout": 8,
    }
    torch.testing.assert_close(model(*INPUTS), before, rtol=1e-6, atol=1e-6)
    adjacency = torch.sparse_coo_tensor(
        INPUTS[1].flip(0), torch.ones(9), (9, 9), check_invariants=True
    ).coalesce()
    with torch.no_grad():
        layers["conv.aggr_module"].coefficient.t += 0.1
    sparse = model(INPUTS[0], adjacency, INPUTS[2])
    torch.testing.assert_close(sparse, model(*INPUTS))


def test_modes_devices_and_types_are_kept() -> None:
    model = Classifier(MeanAggregation()).double()
    model.conv.eval()
    inputs = (INPUTS[0].double(), *INPUTS[1:])
    before = model(*inputs)
    (layer,) = swap_readout(model, inputs).values()
    assert layer.training
    assert not model.conv.training
    torch.testing.assert_close(model(*inputs), before)
    meta = Classifier(MaxAggregation()).to("meta")
    (layer,) = swap_readout(meta, channels=8).values()
    assert {parameter.device.type for parameter in layer.parameters()} == {"meta"}


@pytest.mark.parametrize("name", ["mean", "global_mean_pool"])
def test_a_model_in_evaluation_mode_stays_in_it(name: str) -> None:
    model = Classifier(READOUTS[name]()).eval()
    swap_readout(model, INPUTS)
    assert not any(module.training for module in model.modules())


def test_modes_inside_of_a_gate_are_kept() -> None:
    gate = Sequential(Linear(8, 4), Dropout().eval(), Linear(4, 1))
    model = Classifier(AttentionalAggregation(gate))
    swap_readout(model, channels=8)
    assert [module.training for module in gate.modules()] == [True, True, False, True]


def test_the_pooling_of_a_convolutional_network() -> None:
    model = Sequential(Conv2d(3, 8, 3), AdaptiveAvgPool2d(1), Flatten(), Linear(8, 2))
    x = torch.randn(2, 3, 9, 7)
    before = model(x)
    layers = swap_readout(model, (x,))
    assert isinstance(layers["1"], UOTPPool2d)
    torch.testing.assert_close(model(x), before, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("make", [ResNet, torchvision_resnet])
@pytest.mark.parametrize("solver", ["sinkhorn", "badmm"])
def test_the_readout_of_a_residual_network(make: Callable[[], Module], solver) -> None:
    model, x = make(), torch.randn(4, 3, 16, 16)
    before = copy.deepcopy(model)
    layers = swap_readout(model, (x,), solver=solver)
    assert {path: layer.readout.channels for path, layer in layers.items()} == {
        "avgpool": model.fc.in_features
    }
    statistics = dict(model.named_buffers())
    assert all(statistics[name].equal(b) for name, b in before.named_buffers())
    torch.testing.assert_close(model(x), before(x), rtol=1e-5, atol=1e-5)
    model(x).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_new_type_can_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(module: Module, channels: int, kwargs: dict) -> Module:
        return UOTPAggregation.like("mean", channels, **kwargs)

    class Mean(Module):
        def forward(self, x: Tensor, batch: Tensor) -> Tensor:
            return global_mean_pool(x, batch)

    monkeypatch.setitem(CONVERTERS, Mean, Converter(build, channel_axis=1))
    model = Classifier(Mean())
    x, edge_index, batch = INPUTS
    inputs = {"x": x, "edge_index": edge_index, "batch": batch}
    (layer,) = swap_readout(model, inputs).values()
    assert layer.channels == 8


class Twice(Classifier):
    """What a shared readout makes of the nodes before and after a layer."""

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        read = [self.readout(nodes, batch) for nodes in (x, self.conv(x, edge_index))]
        return self.head(torch.cat(read, -1))


class Unused(Classifier):
    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        return global_mean_pool(x, batch)


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (Classifier(MeanAggregation()), {}, "one of 'inputs' and 'channels'"),
        (
            Classifier(MeanAggregation()),
            {"inputs": INPUTS, "channels": 8},
            "one of 'inputs' and 'channels'",
        ),
        (
            Classifier(Set2Set(8, 2)),
            {"channels": 8},
            "attribute .got Set2Set, Sum",
        ),
        (Classifier(MedianAggregation()), {"channels": 8}, "got Median"),
        (Linear(2, 2), {"channels": 8}, "got none"),
        *(
            (
                Twice(readout, width=13),
                {"inputs": INPUTS},
                "'readout.*' must read one number of channels .got 5 and 8.",
            )
            for readout in (MeanAggregation(), global_add_pool)
        ),
        (
            Classifier(global_max_pool),
            {"inputs": INPUTS, "alpha0": 1.0},
            "'readout.aggr': 'alpha0' must be left out",
        ),
        *(
            (Unused(readout), {"inputs": INPUTS}, "'readout' was not called")
            for readout in (MeanAggregation(), global_max_pool)
        ),
        (
            Classifier(SoftmaxAggregation(-1.0)),
            {"channels": 8},
            "'readout': .*must not be negative",
        ),
    ],
)
def test_what_cannot_be_swapped_is_named(model, arguments: dict, message: str) -> None:
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match=message):
        swap_readout(model, **arguments)
    assert str(model) == str(before)
    assert vars(model).keys() == vars(before).keys()
