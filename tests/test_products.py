from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torch_geometric_uotp import products
from torch_geometric_uotp.products import gram, transform
from torch_geometric_uotp.segments import Segments

# Each way to cut a set, and none.
SIZES = torch.tensor([3, 0, 40, 70, 16, 600, 1, 17, 0])
CHANNELS = 3


def batch(sizes: Tensor = SIZES, sort: bool = False) -> tuple[Tensor, Tensor, Segments]:
    index = torch.arange(sizes.numel()).repeat_interleave(sizes)
    if not sort:
        index = index[torch.randperm(index.numel())]
    segments = Segments.from_index(index, sizes.numel())
    if sort:
        segments = Segments.from_ptr(segments.places()[0], index.numel())
    a, b = torch.randn(2, index.numel(), 2, CHANNELS, dtype=torch.double)
    return a, b, segments


@pytest.mark.parametrize("workspace", [1, products.WORKSPACE])
@pytest.mark.parametrize("sort", [True, False])
def test_products_of_every_set(sort: bool, workspace: int, monkeypatch) -> None:
    monkeypatch.setattr(products, "WORKSPACE", workspace)
    a, b, segments = batch(sort=sort)
    of_sets = gram(a, b, segments)
    for number in range(SIZES.numel()):
        of_set = segments.index == number
        expected = torch.einsum("nhc,nhd->hcd", a[of_set], b[of_set])
        torch.testing.assert_close(of_sets[number], expected)
    expected = torch.einsum("nhc,nhcd->nhd", b, of_sets[segments.index])
    torch.testing.assert_close(transform(b, of_sets, segments), expected)


def test_derivatives_of_any_order() -> None:
    a, b, segments = batch(torch.tensor([2, 0, 18]))
    m = torch.randn(3, 2, CHANNELS, CHANNELS, dtype=torch.double)
    for product, inputs in ((gram, (a, b)), (transform, (a, m))):
        inputs = [x.requires_grad_() for x in inputs]

        def function(x: Tensor, y: Tensor, product=product) -> Tensor:
            return product(x, y, segments)

        assert gradcheck(function, inputs)
        assert gradgradcheck(function, inputs)


def test_operators_keep_their_promises() -> None:
    a, b, segments = batch(torch.tensor([2, 0, 18]))
    m = torch.randn(3, 2, CHANNELS, CHANNELS, dtype=torch.double, requires_grad=True)
    places, a = segments.places(), a.requires_grad_()
    torch.library.opcheck(torch.ops.uotp.set_gram, (a, b, *places))
    torch.library.opcheck(torch.ops.uotp.set_transform, (a, m, *places))


def test_no_set_sees_another() -> None:
    """Neither its values nor its size, to the bit."""
    a, b, segments = batch()
    b[segments.index == 3] = torch.nan
    together = gram(a, b, segments)
    turned = transform(b, together, segments)
    for number in (0, 2, 5):
        of_set = segments.index == number
        single = Segments.from_index(torch.zeros(int(of_set.sum())).long(), 1)
        alone = gram(a[of_set], b[of_set], single)
        assert alone[0].equal(together[number])
        assert transform(b[of_set], alone, single).equal(turned[of_set])


def test_the_same_bits_on_any_number_of_threads() -> None:
    a, b, segments = batch(torch.tensor([3000, 5, 300, 64]))
    a, b = a.float(), b.float()
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            of_sets = gram(a, b, segments)
            found.append((of_sets, transform(a, of_sets, segments)))
    finally:
        torch.set_num_threads(before)
    for first, second in zip(*found, strict=True):
        assert first.equal(second)


def test_places_bring_nodes_into_sets() -> None:
    _, _, segments = batch()
    ptr, order = segments.places()
    again = Segments.from_places(ptr, order, segments.num_nodes)
    assert again.index.equal(segments.index)
    assert replace(segments, ptr=ptr).places() == (ptr, None)
