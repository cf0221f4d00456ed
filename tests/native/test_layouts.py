"""The operators that lay nodes out, and products of each set's matrices."""

from collections.abc import Iterator

import pytest
import torch

from tests.native.samples import (
    SIZES,
    draw,
    fresh_memory_of_nan,
)
from torch_geometric_uotp import ops, products
from torch_geometric_uotp.segments import Segments

pytestmark = pytest.mark.skipif(not ops.AVAILABLE, reason="the library is not built")


@pytest.fixture(autouse=True)
def _nan() -> Iterator[None]:
    with fresh_memory_of_nan():
        assert torch.empty(3).isnan().all()
        yield


def test_a_layout_names_each_node_once() -> None:
    for nodes, sets in ((0, 0), (0, 3), (1, 1), (7, 3), (500, 40)):
        index = torch.randint(0, max(sets, 1), (nodes,))
        ptr, order = torch.ops.uotp.layout(index, sets)
        assert order.equal(index.argsort(stable=True))
        assert ptr.diff().equal(torch.bincount(index, minlength=sets)[:sets])
        assert ptr[0] == 0
    with pytest.raises(RuntimeError, match=r"index must lie in \[0, 2\)"):
        torch.ops.uotp.layout(torch.tensor([0, 2]), 2)
    with pytest.raises(RuntimeError, match="index has another dtype"):
        torch.ops.uotp.layout(torch.tensor([0, 1], dtype=torch.int32), 2)
    with pytest.raises(RuntimeError, match="contiguous"):
        torch.ops.uotp.layout(torch.zeros(4, dtype=torch.long)[::2], 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_products_are_those_of_each_set(sizes, dtype: torch.dtype) -> None:
    named = draw(sizes, dtype=dtype)
    a, ptr, order = named["x"], named["ptr"], named["order"]
    b, m = torch.randn_like(a), torch.randn(len(sizes), 2, 5, 5, dtype=dtype)
    gram = torch.ops.uotp.set_gram(a, b, ptr, order)
    moved = torch.ops.uotp.set_transform(a, m, ptr, order)
    assert gram.shape == (len(sizes), 2, 5, 5)
    close = 1e-11 if dtype == torch.float64 else 1e-3
    for g in range(len(sizes)):
        nodes = order[ptr[g] : ptr[g + 1]]
        ours, theirs = (x[nodes].transpose(0, 1).double() for x in (a, b))
        expected = ours.mT @ theirs
        torch.testing.assert_close(gram[g].double(), expected, rtol=close, atol=close)
        expected = (ours @ m[g].double()).transpose(0, 1)
        torch.testing.assert_close(
            moved[nodes].double(), expected, rtol=close, atol=close
        )


def test_products_take_any_strides_and_one_tensor_twice() -> None:
    named = draw((3, 0, 1, 40))
    segments = Segments.from_places(named["ptr"], named["order"], 44)
    a = named["x"]
    expected = products.gram(a, a.clone(), segments)
    m = torch.randn_like(expected)
    for view in (torch._neg_view(-a), a.transpose(0, 1).contiguous().transpose(0, 1)):
        torch.testing.assert_close(products.gram(view, view, segments), expected)
        torch.testing.assert_close(
            products.transform(view, torch._neg_view(-m), segments),
            products.transform(a, m, segments),
        )
