"""Every public argument of a wrong kind is a ValueError that names it."""

import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import Linear, Parameter
from torch_geometric.nn.aggr import MeanAggregation

from torch_geometric_uotp import (
    GlobalPool,
    HierarchicalUOTPAggregation,
    NormalisedScores,
    ROTPAggregation,
    UOTPAggregation,
    UOTPPool2d,
    nearest_pooling,
    plot,
    uotp_pool,
)

X, INDEX, PTR = torch.ones(5, 4), torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 2, 5])
NESTED = torch.nested.nested_tensor([torch.ones(2, 4)], layout=torch.jagged)
FLOAT8 = X.to(torch.float8_e4m3fn)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # PyTorch is about to drop them.
    QUANTIZED = torch.quantize_per_tensor(X, 0.1, 0, torch.qint8)
NO_TENSORS = [None, "x", 1.5, [1.0] * 5, np.ones((5, 4))]
NO_FEATURES = [
    *NO_TENSORS,
    X.to(torch.complex64),
    X.to_sparse(),
    NESTED,
    QUANTIZED,
    FLOAT8,
    X.long(),
    X.bool(),
]
NO_INTEGERS = [
    "index",
    0.5,
    [0, 0, 1, 1, 1],
    INDEX.numpy(),
    INDEX.bool(),
    INDEX.to(torch.uint16),
    INDEX.to_sparse(),
    INDEX.float(),
]
NO_NUMBERS = ["1", True, 1j, [1.0, "2"], math.nan, -1.0, torch.tensor(True)]
NO_NUMBERS += [torch.ones(1).to_sparse(), torch.ones(1, device="meta")]
NO_COUNTS = ["1", None, 1.5, True, -1, 2**31, math.nan, torch.tensor(2), np.float32(2)]
NO_FLAGS = ["yes", None, 1, 0.0, torch.tensor(True)]
NO_NAMES = [None, 1, ["sinkhorn"], "no such", {"a": 1}, Linear(1, 1)]
EDGES = torch.tensor([[0, 1], [1, 0]])
ALPHAS = ("alpha0", "alpha1", "alpha2")
SPARSE = torch.ones(4).to_sparse()
LAYERS = [UOTPAggregation(4), ROTPAggregation(4), HierarchicalUOTPAggregation(4)]

Make = Callable[[Any], object]


def refused(name: str, values: list, make: Make, but: str = "") -> Iterator[Any]:
    for value in values:
        kind = type(value).__name__ if isinstance(value, Tensor) else repr(value)
        if isinstance(value, Tensor):
            kind = f"{value.dtype} {value.layout}"
        yield pytest.param(name, make, value, id=f"{but or name}-{kind[:30]}")


def of_layers() -> Iterator[Any]:
    for layer in LAYERS:
        kind = type(layer).__name__
        of_call = {
            "x": (NO_FEATURES, lambda v, f=layer: f(v, INDEX)),
            "index": (NO_INTEGERS, lambda v, f=layer: f(X, v)),
            "ptr": (NO_INTEGERS, lambda v, f=layer: f(X, ptr=v)),
            "dim_size": (
                ["2", 2.0, True, -1, 2**70],
                lambda v, f=layer: f(X, INDEX, dim_size=v),
            ),
            "dim": (["0", None, 0.0, True], lambda v, f=layer: f(X, INDEX, dim=v)),
        }
        for name, (values, call) in of_call.items():
            yield from refused(name, values, call, f"{kind}-{name}")
        alphas = {name: [*NO_NUMBERS, None] for name in ALPHAS}
        others = {
            "channels": NO_COUNTS,
            "heads": NO_COUNTS,
            "size_power": NO_NUMBERS,
            "learn": NO_FLAGS,
            "normalize": NO_FLAGS,
            "share_steps": NO_FLAGS,
            "regularizer": NO_NAMES,
            "solver": NO_NAMES,
            "tol": ["1e-6", True, -1.0, 0, math.nan, math.inf, torch.tensor(1.0)],
            "num_steps": [n for n in NO_COUNTS if n is not None],
            "scores": ["x", 1, Linear],
            "channel_prior": [
                *NO_TENSORS[1:],
                -torch.ones(4),
                torch.ones(4).to_sparse(),
            ],
            "channel_prior ": [Parameter(torch.ones(4)), torch.ones(4) * 1j],
        }
        for name, values in (alphas | others).items():
            key = name.strip()
            make = partial(_with, type(layer), key)
            yield from refused(key, values, make, f"{kind}-{name}")


def _with(layer: Callable[..., object], name: str, value: object) -> object:
    return layer(**{"channels": 4, name: value})


def of_others() -> Iterator[Any]:
    uotp, solution = UOTPAggregation(4), UOTPAggregation(4).solve(X, INDEX)
    no_prior = [
        "uniform",
        [1.0] * 5,
        np.ones(5),
        torch.ones(5).to_sparse(),
        X[:, 0] * 1j,
    ]
    tables: dict[str, tuple[str, list, Make]] = {
        "solve x": ("x", [*NO_FEATURES, X[0]], lambda v: uotp.solve(v, INDEX)),
        "solve index": ("index", NO_INTEGERS, lambda v: uotp.solve(X, v)),
        "solve ptr": ("ptr", NO_INTEGERS, lambda v: uotp.solve(X, ptr=v)),
        "solve prior": ("node_prior", no_prior, lambda v: uotp.solve(X, node_prior=v)),
        "call prior": ("node_prior", no_prior, lambda v: uotp(X, INDEX, node_prior=v)),
        "prior": (
            "node_prior",
            NO_NAMES[:-1],
            lambda v: UOTPAggregation(4, node_prior=v),
        ),
        "rho": ("rho", NO_NUMBERS, lambda v: UOTPAggregation(4, "badmm", rho=v)),
        "rho inf": (
            "rho",
            [0.0, math.inf],
            lambda v: UOTPAggregation(4, "badmm", rho=v),
        ),
        "max_steps": (
            "max_steps",
            [n for n in NO_COUNTS if n is not None],
            lambda v: UOTPAggregation(4, tol=1e-3, max_steps=v),
        ),
        "like": ("name", NO_NAMES, lambda v: UOTPAggregation.like(v, 4)),
        "like hierarchical": (
            "name",
            NO_NAMES,
            lambda v: HierarchicalUOTPAggregation.like(v, 4),
        ),
        "alpha_s": (
            "alpha_s",
            [*NO_NUMBERS, None, math.inf],
            lambda v: ROTPAggregation(4, alpha_s=v),
        ),
        "outer": (
            "num_outer_steps",
            [*NO_COUNTS, 1],
            lambda v: ROTPAggregation(4, num_outer_steps=v),
        ),
        "poolings": (
            "poolings",
            ["mean", 5, [], [None], {"mean"}, MeanAggregation()],
            lambda v: HierarchicalUOTPAggregation(4, v),
        ),
        "weights": (
            "weights",
            NO_NAMES[:-1],
            lambda v: HierarchicalUOTPAggregation(4, weights=v),
        ),
        "image": ("x", NO_FEATURES, lambda v: UOTPPool2d(4)(v)),
        "image solve": ("x", NO_FEATURES, lambda v: UOTPPool2d(4).solve(v)),
        "image channels": ("channels", NO_COUNTS, UOTPPool2d),
        "function x": ("x", NO_FEATURES, lambda v: uotp_pool(v, INDEX)),
        "function batch": ("batch", NO_INTEGERS, lambda v: uotp_pool(X, v)),
        "function size": (
            "size",
            [0.5, "2", True, 2.0],
            lambda v: uotp_pool(X, INDEX, v),
        ),
        **{
            f"function {name}": (
                name,
                [*NO_NUMBERS, None, Parameter(torch.ones(())), torch.ones(())],
                lambda v, name=name: uotp_pool(X, INDEX, **{name: v}),
            )
            for name in ("alpha0", "alpha1", "alpha2")
        },
        "function steps": (
            "num_steps",
            [n for n in NO_COUNTS if n is not None],
            lambda v: uotp_pool(X, INDEX, num_steps=v),
        ),
        "function solver": (
            "solver",
            NO_NAMES,
            lambda v: uotp_pool(X, INDEX, solver=v),
        ),
        "function regularizer": (
            "regularizer",
            NO_NAMES,
            lambda v: uotp_pool(X, INDEX, regularizer=v),
        ),
        "pool": ("aggr", [None, 5, MeanAggregation, Linear(1, 1)], GlobalPool),
        "pool lstm": ("lstm", ["lstm"], GlobalPool),
        "pool x": ("x", NO_TENSORS, lambda v: GlobalPool("mean")(v, INDEX)),
        "pool batch": ("batch", NO_INTEGERS, lambda v: GlobalPool("mean")(X, v)),
        "pool size": (
            "size",
            [0.5, "2", True, -1],
            lambda v: GlobalPool("mean")(X, INDEX, v),
        ),
        "scores channels": ("channels", NO_COUNTS, NormalisedScores),
        "scores mapped": ("mapped", NO_FLAGS, lambda v: NormalisedScores(4, v)),
        "scores x": ("x", [*NO_FEATURES, X[:, :3]], NormalisedScores(4)),
        "nearest layer": ("layer", [None, "mean"], lambda v: nearest_pooling(v, X)),
        "nearest x": (
            "x",
            [*NO_FEATURES, X[:0], X * math.nan, X.to("meta")],
            lambda v: nearest_pooling(uotp, v),
        ),
        "nearest head": (
            "head",
            ["0", 0.5, True, -1, 1],
            lambda v: nearest_pooling(uotp, X, head=v),
        ),
        "plan": ("solution", [None, X], plot.plan),
        "plan number": (
            "number",
            [None, "0", 0.5, True, -1, 2],
            lambda v: plot.plan(solution, v),
        ),
        "plan axes": ("axes", [5, "axes"], lambda v: plot.plan(solution, axes=v)),
        "shares": ("solution", [None, X], plot.shares),
        "share_scale": ("parts", [None, [1.0], "x"], plot.share_scale),
        "coefficients": ("layer", [None, Linear(1, 1)], plot.coefficients),
        "edges": (
            "edge_index",
            [None, [[0], [1]], X],
            lambda v: plot.on_graph(solution, v),
        ),
        "position": (
            "position",
            [[0, 0], X, torch.ones(1, 2)],
            lambda v: plot.on_graph(solution, EDGES, position=v),
        ),
        "labels": (
            "labels",
            [5, "ab", ["a"]],
            lambda v: plot.on_graph(solution, EDGES, labels=v),
        ),
        "drawn": (
            "image",
            [None, np.ones((2, 1)), X[0]],
            lambda v: plot.on_image(solution, v, (2, 1)),
        ),
        "size of image": (
            "size",
            [None, 2, (2,), ("2", 1), (3, 1)],
            lambda v: plot.on_image(solution, X, v),
        ),
    }
    for title, (name, values, make) in tables.items():
        yield from refused(name, values, make, title)


@pytest.mark.parametrize(("name", "make", "value"), [*of_layers(), *of_others()])
def test_an_argument_of_a_wrong_kind_is_named(
    name: str, make: Make, value: object
) -> None:
    with pytest.raises(ValueError, match=name):
        make(value)


NAN = X * math.nan
NAMED: list[tuple[str, Callable[[], object]]] = [
    (r"'ptr' must hold .*got none", lambda: UOTPAggregation(4)(X, ptr=PTR[:0])),
    (r"'ptr' must hold .*got none", lambda: UOTPAggregation(4).solve(X, ptr=PTR[:0])),
    (r"'size' must be an integer .got 0.5", lambda: uotp_pool(X, INDEX, 0.5)),
    (r"'index' must be a torch.Tensor .got list", lambda: LAYERS[0](X, [0] * 5)),
    (r"'index' .* integers .*torch.bool", lambda: LAYERS[0](X, INDEX > 0)),
    (r"'index' .* integers .*uint16", lambda: LAYERS[0](X, INDEX.to(torch.uint16))),
    (r"neither sparse.*sparse_coo", lambda: LAYERS[0](X.to_sparse(), INDEX)),
    (r"'x' .*floating-point .*float8_e4m3fn", lambda: LAYERS[0](FLOAT8, INDEX)),
    (r"'alpha0' .*a number .*got '1'", lambda: UOTPAggregation(4, alpha0="1")),
    (r"'tol' must be a number .got '1e-6'", lambda: UOTPAggregation(4, tol="1e-6")),
    (r"hold a node at least", lambda: nearest_pooling(UOTPAggregation(4), X[:0])),
    (r"finite to be drawn", lambda: plot.plan(UOTPAggregation(4).solve(NAN))),
    (r"cannot be made of its name alone", lambda: GlobalPool("lstm")),
    (r"give its .detach", lambda: UOTPAggregation(4, alpha0=Parameter(X[0, :1]))),
    (r"'num_steps' must be at most", lambda: UOTPAggregation(4, num_steps=10**30)),
    (r"'dim_size' must be given", lambda: LAYERS[0](X.to("meta"), INDEX.to("meta"))),
]


@pytest.mark.parametrize(("message", "call"), NAMED, ids=[m for m, _ in NAMED])
def test_an_error_says_what_is_needed(message: str, call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=message):
        call()
