"""What does not matter: order, company, repetition, and the number of threads."""

from dataclasses import replace

import torch
from hypothesis import strategies as st

from tests.properties.batches import batches
from tests.properties.checks import check, check_same, for_all
from tests.properties.layers import OF_NODES, UNROLLED, layers, solved
from tests.properties.tolerances import tolerances
from torch_geometric_uotp import ops


def order_of(size: int, seed: int) -> torch.Tensor:
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed))


@for_all(data=st.data())
def test_the_order_of_nodes_does_not_matter(data) -> None:
    batch = data.draw(batches(powers=(-30, 12)))
    layer = data.draw(layers(batch.channels))
    nodes = replace(batch.nodes(), by_ptr=False)
    order = order_of(nodes.index.numel(), batch.seed)
    found, other = solved(layer, nodes), solved(layer, nodes.take(order))
    allowed = tolerances(layer, nodes, nodes.x.dtype)
    for name, value in found.items():
        expected = value[order] if name in ("x", "logits") else value
        check(other[name], expected, allowed.of(name), name)


@for_all(data=st.data())
def test_the_order_of_channels_does_not_matter(data) -> None:
    batch = data.draw(batches(powers=(-30, 12)))
    layer = replace(data.draw(layers(batch.channels)), heads=1)
    layer = replace(layer, alpha0=layer.alpha0[:1])
    nodes = batch.nodes()
    order = order_of(batch.channels, batch.seed)
    found, other = solved(layer, nodes), solved(layer, nodes.channels(order))
    allowed = tolerances(layer, nodes, nodes.x.dtype)
    for name, value in found.items():
        expected = value[:, order] if name in ("output", "x") else value
        check(other[name], expected, allowed.of(name), name)


@for_all(data=st.data())
def test_sets_in_any_order_and_number_are_as_alone(data) -> None:
    """Natively to the bit: a set knows nothing of the others, nor of its copies."""
    batch = data.draw(batches())
    kinds, solvers = ("UOTP",), UNROLLED
    layer = data.draw(layers(batch.channels, kinds, solvers))
    nodes = batch.nodes()
    count = nodes.num_sets
    order = torch.cat([order_of(count, batch.seed), torch.tensor([batch.seed % count])])
    found, other = solved(layer, nodes), solved(layer, nodes.sets(order))
    allowed = tolerances(layer, nodes, nodes.x.dtype)
    sorted_nodes = [nodes.of_set(int(g)).nonzero()[:, 0] for g in order]
    places = torch.cat(sorted_nodes)
    for name in OF_NODES:
        expected = found[name][order if name == "output" else places]
        if ops.AVAILABLE and 0.0 not in layer.alpha0 and layer.normalize:
            check_same(other[name], expected, name)
        else:
            check(other[name], expected, allowed.of(name), name)


@for_all(data=st.data())
def test_a_set_alone_is_as_in_a_batch(data) -> None:
    batch = data.draw(batches(powers=(-30, 12)))
    layer = data.draw(layers(batch.channels))
    nodes = batch.nodes()
    together = solved(layer, nodes)
    allowed = tolerances(layer, nodes, nodes.x.dtype)
    for number in {0, nodes.num_sets - 1}:
        inside = nodes.of_set(number)
        alone = solved(layer, nodes.sets(torch.tensor([number])))
        for name in OF_NODES:
            part = together[name][[number] if name == "output" else inside]
            check(alone[name], part, allowed.of(name), name)


@for_all(data=st.data())
def test_any_number_of_threads_gives_the_same_bits(data) -> None:
    batch = data.draw(batches())
    layer = data.draw(layers(batch.channels))
    nodes, before = batch.nodes(), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = solved(layer, nodes)
        torch.set_num_threads(3)
        three = solved(layer, nodes)
    finally:
        torch.set_num_threads(before)
    for name, expected in one.items():
        check_same(three[name], expected, name)
