import copy

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.nn import Linear, Module, Sequential
from torch.optim.swa_utils import AveragedModel

from torch_geometric_uotp import (
    HierarchicalUOTPAggregation,
    ROTPAggregation,
    UOTPAggregation,
    UOTPPool2d,
)
from torch_geometric_uotp.state import BLOCK, FORMAT, decoded, encoded

INDEX = torch.tensor([2, 0, 0, 2, 4, 0, 2, 2, 1, 2])
LAYERS = {
    "sinkhorn": lambda **kwargs: UOTPAggregation(6, **kwargs),
    "badmm": lambda **kwargs: UOTPAggregation(6, solver="badmm", **kwargs),
    "quadratic": lambda **kwargs: UOTPAggregation(
        6, solver="badmm", regularizer="quadratic", **kwargs
    ),
    "tol": lambda **kwargs: UOTPAggregation(6, tol=1e-6, **kwargs),
    "steps": lambda **kwargs: UOTPAggregation(6, share_steps=False, **kwargs),
    "one channel": lambda **kwargs: UOTPAggregation(6, heads=6, **kwargs),
    "one step": lambda **kwargs: UOTPAggregation(6, num_steps=1, **kwargs),
    "steps of one channel": lambda **kwargs: UOTPAggregation(
        6, heads=6, share_steps=False, **kwargs
    ),
    "steps of badmm": lambda **kwargs: UOTPAggregation(
        6, solver="badmm", share_steps=False, num_steps=3, **kwargs
    ),
    "maximum": lambda **kwargs: UOTPAggregation.like("max", 6, **kwargs),
    "sum": lambda **kwargs: UOTPAggregation.like("sum", 6, **kwargs),
    "rotp": lambda **kwargs: ROTPAggregation(6, heads=2, **kwargs),
    "hierarchical": lambda **kwargs: HierarchicalUOTPAggregation.like(
        "mixed", 6, **kwargs
    ),
}
ALL_LAYERS = pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)


def changed(layer: Module, seed: int = 1) -> Module:
    """The layer with other values in everything that learns."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) * 0.3)
    return layer


def pooled(layer: Module, dtype: torch.dtype = torch.float32) -> Tensor:
    x = torch.linspace(-2, 2, 60, dtype=dtype).sin().view(10, 6) * 3
    return layer(x, INDEX, dim_size=6)


OTHERS = {
    "num_steps": ({}, {"num_steps": 6}, 4, 6),
    "tol": ({}, {"tol": 1e-6}, None, 1e-6),
    "max_steps": ({"tol": 1e-6}, {"tol": 1e-6, "max_steps": 9}, 1000, 9),
    "normalize": ({}, {"normalize": False}, True, False),
    "solver": ({}, {"solver": "badmm"}, "sinkhorn", "badmm"),
    "regularizer": (
        {"solver": "badmm"},
        {"solver": "badmm", "regularizer": "quadratic"},
        "entropy",
        "quadratic",
    ),
    "share_steps": (
        {"num_steps": 1, "heads": 6},
        {"num_steps": 1, "heads": 6, "share_steps": False},
        True,
        False,
    ),
    "channels": ({}, {"channels": 7}, 6, 7),
    "heads": ({}, {"heads": 2}, 1, 2),
    "scores": ({}, {"scores": torch.nn.Tanh()}, "features", "module"),
    "node_prior": ({}, {"node_prior": torch.nn.Tanh()}, "uniform", "module"),
}


@pytest.mark.parametrize("learn", [True, False])
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", OTHERS)
def test_a_state_of_a_layer_that_computes_otherwise_is_refused(
    name: str, strict: bool, learn: bool
) -> None:
    *given, one, other = OTHERS[name]
    saved, own = (
        UOTPAggregation(**{"channels": 6, "learn": learn, **kwargs}) for kwargs in given
    )
    for source, target, values in (
        (saved, own, (one, other)),
        (own, saved, (other, one)),
    ):
        words = "'{}' is {!r} in the state and {!r} in the layer".format(name, *values)
        with pytest.raises(RuntimeError, match=words):
            target.load_state_dict(source.state_dict(), strict=strict)


@pytest.mark.parametrize(
    ("saved", "own", "words"),
    [
        (
            lambda: ROTPAggregation(6, num_outer_steps=2),
            lambda: ROTPAggregation(6, num_outer_steps=3),
            "'num_outer_steps' is 2 in the state and 3 in the layer",
        ),
        (
            lambda: UOTPAggregation(6),
            lambda: ROTPAggregation(6),
            "'num_outer_steps' is None in the state and 2 in the layer",
        ),
        (
            lambda: HierarchicalUOTPAggregation(6, ["mean", "max"]),
            lambda: HierarchicalUOTPAggregation(6, ["mean", "sum"]),
            r"'poolings' is \['MeanAggregation', 'MaxAggregation'\] in the state",
        ),
        (
            lambda: HierarchicalUOTPAggregation(6, num_steps=3),
            lambda: HierarchicalUOTPAggregation(6),
            "combine: .*'num_steps' is 3 in the state and 4 in the layer",
        ),
        (
            lambda: UOTPPool2d(6, normalize=False),
            lambda: UOTPPool2d(6),
            "readout: .*'normalize' is False in the state and True in the layer",
        ),
        (
            lambda: Sequential(Linear(6, 6), UOTPAggregation(6, num_steps=3)),
            lambda: Sequential(Linear(6, 6), UOTPAggregation(6)),
            "1: .*'num_steps' is 3 in the state and 4 in the layer",
        ),
    ],
)
def test_layers_within_others_are_named(saved, own, words: str) -> None:
    for strict in (True, False):
        with pytest.raises(RuntimeError, match=words):
            own().load_state_dict(saved().state_dict(), strict=strict)


def test_a_state_without_its_description_is_incomplete() -> None:
    layer = UOTPAggregation(6)
    state = layer.state_dict()
    del state["_extra_state"]
    with pytest.raises(RuntimeError, match=r"Missing key.*_extra_state"):
        layer.load_state_dict(state)
    assert layer.load_state_dict(state, strict=False).missing_keys == ["_extra_state"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            encoded({"format": FORMAT + 1}),
            f"format {FORMAT + 1}, .* reads 1 to {FORMAT}",
        ),
        (encoded({"format": "new"}), "format new"),
        (encoded({"channels": 6}), "does not say of what layer"),
        (torch.zeros(5), "does not say of what layer"),
        (torch.tensor(True), "does not say of what layer"),
        ({"format": 1}, "does not say of what layer"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_told(entry, words: str) -> None:
    layer = UOTPAggregation(6)
    with pytest.raises(RuntimeError, match=words):
        layer.load_state_dict({**layer.state_dict(), "_extra_state": entry})


def test_numbers_of_other_kinds_do() -> None:
    numpy = pytest.importorskip("numpy")
    layer = UOTPAggregation(numpy.int64(6), num_steps=numpy.int64(3))
    UOTPAggregation(6, num_steps=3).load_state_dict(layer.state_dict())


def test_a_description_survives_averages_and_other_types() -> None:
    settings = {"format": 1, "tol": 1e-7, "names": ["ä", "b"], "none": None}
    entry = encoded(settings)
    expected = decoded(entry)
    assert expected == {"tol": 1e-7, "names": ["ä", "b"], "none": None}
    total = sum(entry for _ in range(50))
    for other in (
        total // 50,
        total / 50,
        torch.stack([entry.float()] * 3).mean(0),
        entry.half(),
        entry.bfloat16(),
    ):
        assert decoded(other) == expected


def test_descriptions_have_a_size_that_settings_do_not_change() -> None:
    sizes = {
        layer.get_extra_state().numel()
        for layer in (UOTPAggregation(6), UOTPAggregation(600, tol=1e-9, max_steps=77))
    }
    assert sizes == {BLOCK}


@ALL_LAYERS
@pytest.mark.parametrize("learn", [True, False])
def test_states_pass_through_files(build, learn: bool, tmp_path) -> None:
    """A state is nothing but tensors, as most tools want it."""
    layer = changed(build(learn=learn))
    assert all(type(entry) is Tensor for entry in layer.state_dict().values())
    torch.save(layer.state_dict(), tmp_path / "state.pt")
    other = build(learn=learn)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert pooled(other).equal(pooled(layer))


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled:UserWarning")
@pytest.mark.parametrize("learn", [True, False])
def test_states_are_loaded_in_place_by_distributed_checkpoints(
    learn: bool, tmp_path
) -> None:
    layer = changed(LAYERS["badmm"](learn=learn))
    dcp.save(layer.state_dict(), checkpoint_id=tmp_path, no_dist=True)
    for other in (
        LAYERS["badmm"](learn=learn),
        UOTPAggregation(6, "badmm", 12, learn=learn),
    ):
        state = other.state_dict()
        dcp.load(state, checkpoint_id=tmp_path, no_dist=True)
        if other.solver == layer.solver:
            other.load_state_dict(state)
            assert pooled(other).equal(pooled(layer))
        else:
            with pytest.raises(RuntimeError, match=r"'num_steps' is 4 .* 12 in the"):
                other.load_state_dict(state)


@ALL_LAYERS
@pytest.mark.parametrize("learn", [True, False])
def test_layers_without_memory_take_over_a_state(build, learn: bool) -> None:
    layer = changed(build(learn=learn))
    expected, state = pooled(layer), layer.state_dict()
    for assign in (True, False):
        with torch.device("meta"):
            other = build(learn=learn)
        if not assign:
            other = other.to_empty(device="cpu")
        other.load_state_dict(copy.deepcopy(state), assign=assign)
        assert pooled(other).equal(expected)
    with torch.device("meta"):
        other = build(learn=learn)
    other.load_state_dict({name: entry.to("meta") for name, entry in state.items()})


def test_states_are_used_by_functional_call_and_averaged_models() -> None:
    layer, other = changed(UOTPAggregation(6)), UOTPAggregation(6)
    x = torch.randn(10, 6)
    state = dict(layer.state_dict())
    found = torch.func.functional_call(other, state, (x, INDEX))
    assert found.equal(layer(x, INDEX))
    average = AveragedModel(other, use_buffers=True)
    average.update_parameters(layer)
    other.load_state_dict(average.module.state_dict())
    assert other(x, INDEX).equal(layer(x, INDEX))


@ALL_LAYERS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("assign", [True, False])
def test_what_was_learned_can_be_frozen(
    build, dtype: torch.dtype, assign: bool
) -> None:
    layer, frozen = changed(build()).to(dtype), build(learn=False)
    state = layer.state_dict()
    frozen.load_state_dict(state, assign=assign)
    assert pooled(frozen, dtype).equal(pooled(layer, dtype))
    assert state.keys() == layer.state_dict().keys()
    assert frozen.state_dict().keys() == build(learn=False).state_dict().keys()


def test_a_limit_that_was_learned_can_be_frozen() -> None:
    layer, frozen = (
        UOTPAggregation(6, heads=2, alpha0=0.0),
        UOTPAggregation(6, heads=2, learn=False),
    )
    with torch.no_grad():
        layer.coefficient.t.copy_(torch.tensor([0.26, 0.1]))
    frozen.load_state_dict(layer.state_dict())
    assert pooled(frozen).equal(pooled(layer))
    assert frozen.coefficients()["alpha0"][0, 0] == 0
    again = UOTPAggregation(6, heads=2, learn=False)
    again.load_state_dict(frozen.state_dict())
    assert pooled(again).equal(pooled(layer))


@ALL_LAYERS
@pytest.mark.parametrize("assign", [True, False])
def test_what_was_fixed_can_learn_on(build, assign: bool) -> None:
    fixed, layer = build(learn=False), changed(build())
    if isinstance(fixed, HierarchicalUOTPAggregation):
        layer.weights.reset_parameters()
    expected = pooled(fixed)
    layer.load_state_dict(fixed.state_dict(), assign=assign)
    torch.testing.assert_close(pooled(layer), expected)
    assert all(isinstance(p, torch.nn.Parameter) for p in layer.parameters())
    pooled(layer).sum().backward()
    assert all(
        p.grad is not None and p.dtype == torch.float32 for p in layer.parameters()
    )


@pytest.mark.parametrize(
    ("fixed", "other", "words"),
    [
        ({"alpha0": 1e-4}, {}, "coefficient: a learned 'alpha0' must start"),
        (
            {"solver": "badmm", "rho": 1e5},
            {"solver": "badmm"},
            "coefficient: a learned 'rho' must start at 1024",
        ),
        (
            {"alpha0": 0.0, "share_steps": False},
            {"share_steps": False},
            "coefficient: a learned 'alpha0' of 0 must be shared",
        ),
    ],
)
def test_what_cannot_be_learned_is_not_taken_over(fixed, other, words: str) -> None:
    state = UOTPAggregation(6, **fixed, learn=False).state_dict()
    for strict in (True, False):
        with pytest.raises(RuntimeError, match=words):
            UOTPAggregation(6, **other).load_state_dict(state, strict=strict)


def test_a_fixed_weight_that_cannot_be_learned_is_not_taken_over() -> None:
    state = ROTPAggregation(6, alpha_s=5000.0, learn=False).state_dict()
    with pytest.raises(RuntimeError, match="structure: a learned 'alpha_s' must start"):
        ROTPAggregation(6).load_state_dict(state)
