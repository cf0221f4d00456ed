"""Every path computes the same."""

import torch
from hypothesis import strategies as st

from tests.properties.batches import DTYPES, batches
from tests.properties.checks import check, for_all
from tests.properties.layers import layers, of_coefficients, solved
from tests.properties.tolerances import tolerances


@for_all(data=st.data())
def test_native_and_portable_agree_with_double_precision(data) -> None:
    batch = data.draw(batches(powers=(-300, 12)), label="batch")
    layer = data.draw(layers(batch.channels), label="layer")
    nodes = batch.nodes()
    exact = solved(layer, nodes, native=False, exact=True)
    allowed = tolerances(layer, nodes, nodes.x.dtype)
    for path in ("native", "portable"):
        found = solved(layer, nodes, native=path == "native")
        for name, expected in exact.items():
            check(found[name], expected, allowed.of(name), f"{path} {name}")
