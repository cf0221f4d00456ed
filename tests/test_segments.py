import pytest
import torch

from torch_geometric_uotp.reductions import (
    CSRReduction,
    ScatterReduction,
    has_torch_scatter,
)
from torch_geometric_uotp.segments import Segments

PTR = torch.tensor([0, 2, 2, 5, 6])
INDEX = torch.tensor([0, 0, 2, 2, 2, 3])
X = torch.tensor(
    [[1.0, -1.0], [3.0, 0.0], [0.0, 0.0], [0.0, 0.0], [-2.0, 5.0], [7.0, 8.0]]
)


def layouts() -> list:
    scatter = ScatterReduction(INDEX, 4)
    csr = pytest.param(
        CSRReduction(INDEX, PTR),
        marks=pytest.mark.skipif(
            not has_torch_scatter(), reason="torch-scatter is not installed"
        ),
    )
    return [scatter, csr]


@pytest.fixture(params=layouts(), ids=["scatter", "csr"])
def segments(request) -> Segments:
    return Segments(INDEX, 4, request.param)


def test_golden_sums_and_maxima(segments: Segments) -> None:
    inf = torch.inf
    assert segments.sum(X).tolist() == [[4, -1], [0, 0], [-2, 5], [7, 8]]
    assert segments.max(X).tolist() == [[3, 0], [-inf, -inf], [0, 5], [7, 8]]
    assert segments.counts.tolist() == [2, 0, 3, 1]
    assert segments.gather(segments.sum(X))[2].tolist() == [-2, 5]


def test_logsumexp_is_that_of_each_set(segments: Segments) -> None:
    x = (100 * torch.randn(6, 2, 3, dtype=torch.double)).requires_grad_()
    expected = torch.stack(
        [
            x[:2].logsumexp(0),
            torch.full((2, 3), -torch.inf, dtype=torch.double),
            x[2:5].logsumexp(0),
            x[5],
        ]
    )
    found = segments.logsumexp(x)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)
    filled = [0, 2, 3]
    (gradient,) = torch.autograd.grad(
        found[filled].square().sum(), x, retain_graph=True
    )
    (by_set,) = torch.autograd.grad(expected[filled].square().sum(), x)
    torch.testing.assert_close(gradient, by_set)


def test_logsumexp_of_a_set_of_minus_infinities(segments: Segments) -> None:
    x = torch.randn(6, 1).index_fill(0, torch.tensor([2, 3, 4]), -torch.inf)
    x.requires_grad_()
    found = segments.logsumexp(x)
    assert found.flatten()[[1, 2]].tolist() == [-torch.inf, -torch.inf]
    (gradient,) = torch.autograd.grad(found, x, torch.ones_like(found))
    assert gradient[2:5].eq(0).all()
    assert gradient[[0, 1, 5]].gt(0).all()


def test_fill_empty(segments: Segments) -> None:
    filled = segments.fill_empty(torch.ones(4, 2, 2), -3)
    assert filled[:, 0, 0].tolist() == [1, -3, 1, 1]


def test_index_and_ptr_describe_the_same_layout() -> None:
    by_index = Segments.from_index(INDEX.int(), 4)
    by_ptr = Segments.from_ptr(PTR.int(), 6)
    both = Segments.build(6, INDEX, PTR, 4)
    for segments in (by_index, by_ptr, both):
        assert segments.index.equal(INDEX)
        assert segments.counts.equal(PTR.diff())
        assert segments.num_sets == 4
    assert Segments.build(6, INDEX).num_sets == 4
    assert Segments.build(0, INDEX[:0]).num_sets == 0
    assert Segments.build(6).counts.tolist() == [6]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index": torch.tensor([0, -1, 2])}, r"\[0, 3\).*from -1 to 2"),
        ({"index": torch.tensor([0, 3, 2])}, r"\[0, 3\).*from 0 to 3"),
        ({"index": torch.tensor([0, 1])}, "each of 3 nodes .got 2"),
        ({"index": torch.tensor([0.0, 1.0, 2.0])}, "integers .*float32"),
        ({"index": torch.zeros(3, 1, dtype=torch.long)}, r"vector .*\(3, 1\)"),
        ({"ptr": torch.tensor([1, 2, 2, 3])}, "start at 0 .got 1"),
        ({"ptr": torch.tensor([0, 2, 1, 3])}, "not decrease .got 1 after 2, at 2"),
        ({"ptr": torch.tensor([0, 1, 2, 4])}, "number of nodes, 3 .got 4"),
        ({"ptr": torch.tensor([0, 1, 2, 2])}, "number of nodes, 3 .got 2"),
        ({"ptr": torch.tensor([], dtype=torch.long)}, "at least one boundary"),
        ({"ptr": torch.tensor([0.0, 3.0])}, "integers .*float32"),
        ({"ptr": torch.tensor([0, 3])}, "sets in 'ptr', 1 .got 3"),
        (
            {"ptr": torch.tensor([0, 1, 2, 3]), "index": torch.tensor([0, 2, 1])},
            "describe different sets",
        ),
        (
            {"ptr": torch.tensor([0, 1, 2, 3]), "index": torch.arange(3.0)},
            "'index' must be a vector of integers .*float32",
        ),
    ],
)
def test_bad_layouts_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Segments.build(3, num_sets=3, **arguments)


def test_a_negative_number_of_sets_is_named() -> None:
    with pytest.raises(ValueError, match=r"'dim_size' must not be negative .got -1"):
        Segments.build(0, INDEX[:0], num_sets=-1)
