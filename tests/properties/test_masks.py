"""What is left out is not there, and what is no number stays in its set."""

import math
from dataclasses import replace

import torch
from hypothesis import assume
from hypothesis import strategies as st

from tests.properties.batches import batches
from tests.properties.checks import check, check_same, for_all
from tests.properties.layers import (
    OF_NODES,
    UNROLLED,
    layers,
    of_coefficients,
    solved,
)
from tests.properties.tolerances import tolerances

POISON = (math.nan, math.inf, -math.inf, 1e30, -1e30)


@for_all(data=st.data(), poison=st.sampled_from((0.0, *POISON)))
def test_a_node_left_out_might_not_be_there(data, poison: float) -> None:
    batch = data.draw(batches(priors=("left out",), powers=(-30, 12)))
    layer = data.draw(layers(batch.channels))
    nodes = batch.nodes()
    out = nodes.left_out
    x = nodes.x.masked_fill(out.unsqueeze(1), poison)
    found = solved(layer, replace(nodes, x=x))
    removed = nodes.take((~out).nonzero()[:, 0])
    expected = solved(layer, removed)
    assert not found["x"][out].any(), f"gradients of nodes left out: {found['x'][out]}"
    assert not found["logits"][out].any(), "a prior of -inf gets a gradient"
    allowed = tolerances(layer, removed, nodes.x.dtype)
    for name, value in expected.items():
        kept = found[name][~out] if name in ("x", "logits") else found[name]
        check(kept, value, allowed.of(name), name)


@for_all(data=st.data(), poison=st.sampled_from(POISON))
def test_poison_stays_in_its_set(data, poison: float) -> None:
    """Others keep their bits, and coefficients get gradients that are numbers."""
    batch = data.draw(batches())
    layer = data.draw(layers(batch.channels, kinds=("UOTP",), solvers=UNROLLED))
    nodes = batch.nodes()
    assume(nodes.index.numel() > 0)
    bad = int(nodes.index[batch.seed % nodes.index.numel()])
    inside = nodes.of_set(bad)
    x = nodes.x.clone()
    x[inside.nonzero()[0, 0], batch.seed % batch.channels] = poison
    found, clean = solved(layer, replace(nodes, x=x)), solved(layer, nodes)
    others = torch.arange(nodes.num_sets) != bad
    for name in OF_NODES:
        kept = others if name == "output" else ~inside
        check_same(found[name][kept], clean[name][kept], f"{name} beside {poison}")
    for name, gradient in of_coefficients(found).items():
        assert gradient.isfinite().all(), f"the gradient of {name} is {gradient}"


@for_all(data=st.data())
def test_any_finite_features_give_numbers(data) -> None:
    """Averages of the features, and gradients, from denormal numbers to 1e30."""
    batch = data.draw(batches())
    layer = data.draw(layers(batch.channels, normalize=st.just(True)))
    nodes = batch.nodes()
    found = solved(layer, nodes)
    for name, value in found.items():
        assert value.isfinite().all(), f"{name} is {value}"
    for number in range(nodes.num_sets):
        rows = nodes.x[nodes.of_set(number) & ~nodes.left_out]
        if len(rows):
            low, high = rows.min(0).values, rows.max(0).values
            inside = (found["output"][number] >= low) & (
                found["output"][number] <= high
            )
            assert inside.all(), f"set {number}: not in [{low}, {high}]"


@for_all(data=st.data())
def test_the_last_node_of_a_set_is_returned(data) -> None:
    batch = data.draw(batches())
    layer = data.draw(layers(batch.channels, normalize=st.just(True)))
    nodes = batch.nodes()
    last = torch.full((nodes.num_sets,), -1)
    last[nodes.index] = torch.arange(nodes.index.numel())
    out = torch.ones_like(nodes.logits, dtype=torch.bool)
    out[last[last >= 0]] = False
    logits = torch.zeros_like(nodes.logits).masked_fill(out, -math.inf)
    found = solved(layer, replace(nodes, logits=logits))
    held = last >= 0
    check_same(found["output"][held], nodes.x[last[held]], "output")
    assert not found["output"][~held].any()
