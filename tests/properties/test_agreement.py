"""Every path computes the same."""

from dataclasses import replace

import torch
from hypothesis import strategies as st

from tests.properties.batches import Nodes, batches
from tests.properties.checks import check, check_same, for_all
from tests.properties.layers import Layer, layers, solved
from tests.properties.tolerances import allowed_half, tolerances
from torch_geometric_uotp import ops


def check_path(layer: Layer, nodes: Nodes, native: bool) -> None:
    """Against the portable path in float64."""
    exact = solved(layer, nodes, native=False, exact=True)
    found = solved(layer, nodes, native=native)
    allowed = tolerances(layer, nodes, nodes.x.dtype)
    for name, expected in exact.items():
        check(found[name], expected, allowed.of(name), name)


@for_all(data=st.data())
def test_native_agrees_with_double_precision(data) -> None:
    batch = data.draw(batches(powers=(-300, 12)))
    check_path(data.draw(layers(batch.channels)), batch.nodes(), native=True)


@for_all(data=st.data())
def test_portable_agrees_with_double_precision(data) -> None:
    batch = data.draw(batches(dtypes=("float32",), powers=(-40, 12)))
    check_path(data.draw(layers(batch.channels)), batch.nodes(), native=False)


@for_all(data=st.data())
def test_half_precision_costs_one_rounding(data) -> None:
    batch = data.draw(batches(dtypes=("bfloat16", "float16"), powers=(-4, 3)))
    layer = data.draw(layers(batch.channels))
    nodes = batch.nodes()
    # The layer is moved to the type of the nodes, and its prior with it.
    logits = nodes.logits.to(nodes.x.dtype).float()
    single = replace(
        nodes, x=nodes.x.float(), weight=nodes.weight.float(), logits=logits
    )
    found, exact = solved(layer, nodes), solved(layer, single)
    allowed = tolerances(layer, single, torch.float32)
    for name in ("output", "x"):
        rounding = allowed_half(exact, nodes.x.dtype, name)
        largest = torch.finfo(nodes.x.dtype).max
        expected = exact[name].clamp(-largest, largest)
        check(found[name], expected, allowed.of(name) + rounding, name)


@for_all(data=st.data())
def test_the_layout_of_a_batch_does_not_matter(data) -> None:
    """Sorted nodes by their boundaries or by an index: the same bits."""
    batch = data.draw(batches())
    layer = data.draw(layers(batch.channels))
    nodes = replace(batch, layout="ptr").nodes()
    found, other = solved(layer, nodes), solved(layer, replace(nodes, by_ptr=False))
    for name, expected in found.items():
        if ops.AVAILABLE:
            check_same(other[name], expected, name)
