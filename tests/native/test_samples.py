"""Each operator on samples of its arguments, where fresh memory is NaN.

Raw operators take dense, contiguous tensors and refuse others; what calls them makes
such tensors of any strides.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from torch_geometric_uotp import UOTPAggregation, ops, products
from torch_geometric_uotp.operators import LAYOUT
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.solvers import badmm, sinkhorn

pytestmark = pytest.mark.skipif(not ops.AVAILABLE, reason="the library is not built")

SIZES = {
    "ragged": (3, 0, 1, 7),
    "one": (1,),
    "empty": (0, 0),
    "no sets": (),
    "large": (70, 300),
}
PRIORS = {"uniform": False, "given": True}
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@contextmanager
def fresh_memory_of_nan() -> Iterator[None]:
    """Whatever an operator leaves unwritten is NaN, or the largest integer."""
    before = torch.are_deterministic_algorithms_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.utils.deterministic.fill_uninitialized_memory = filled


def leave_nan_behind() -> None:
    """Free memory of NaN, which operators in C++ are given next.

    They allocate past what fills the memory of PyTorch's own.
    """
    for size in (*range(8, 512, 8), *range(512, 1 << 14, 512)):
        torch.full((size,), torch.nan)


@pytest.fixture(autouse=True)
def _nan() -> Iterator[None]:
    with fresh_memory_of_nan():
        assert torch.empty(3).isnan().all()
        yield


@dataclass(frozen=True)
class Sample:
    """A solver's operator, what follows its tensors, and the portable path."""

    name: str
    tensors: tuple[str, ...]
    options: tuple[Any, ...]
    kept: tuple[int, ...]
    portable: Callable[..., Tensor] | None

    def forward(self, named: dict[str, Tensor]) -> tuple[Tensor, ...]:
        operator = getattr(torch.ops.uotp, f"{self.name}_forward").default
        leave_nan_behind()
        found: tuple[Tensor, ...] = operator(*self.given(named), *self.options)
        return found

    def backward(
        self, grad: Tensor, named: dict[str, Tensor], outputs: tuple[Tensor, ...]
    ) -> dict[str, Tensor]:
        operator = getattr(torch.ops.uotp, f"{self.name}_backward").default
        kept = [outputs[i] for i in self.kept]
        leave_nan_behind()
        found = operator(grad, *self.given(named), *self.options, *kept)
        moving = [name for name in self.tensors if name not in LAYOUT]
        return dict(zip(moving, found, strict=True))

    def given(self, named: dict[str, Tensor]) -> list[Tensor | None]:
        return [named.get(name) for name in self.tensors]


STEPS = (3, 0.0, 0.0)
FIXED = ops.SINKHORN.tensors
SINKHORN = Sample("sinkhorn", FIXED, STEPS, (0, 2, 3), sinkhorn._pool_portably)
BADMM = [
    Sample(
        "badmm",
        ops.BADMM.tensors,
        (*STEPS, quadratic),
        ops.BADMM.kept,
        badmm._pool_portably,
    )
    for quadratic in (False, True)
]
UNROLLED = [SINKHORN, *BADMM]
FIXED_POINT = Sample("fixed_point", FIXED, (1e-12, 1000), (0, 1), None)
SAMPLES = [*UNROLLED, FIXED_POINT]
EACH = pytest.mark.parametrize(
    "sample", SAMPLES, ids=["sinkhorn", "badmm-e", "badmm-q", "fixed_point"]
)


def draw(
    sizes: tuple[int, ...],
    priors: bool = False,
    dtype: torch.dtype = torch.float64,
    heads: int = 2,
    channels: int = 5,
) -> dict[str, Tensor]:
    """Tensors of an operator by name, those that are computed with in their type."""
    counts = torch.tensor(sizes, dtype=torch.long)
    nodes, computed = int(counts.sum()), torch.promote_types(dtype, torch.float32)
    named = {
        "x": torch.randn(nodes, heads, channels, dtype=torch.double).to(dtype),
        "ptr": torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
        "order": torch.randperm(nodes),
        "t": torch.rand(1, heads, dtype=torch.double).to(computed),
        "r_p": torch.rand(1, heads, dtype=torch.double).to(computed),
        "r_q": torch.rand(1, heads, dtype=torch.double).to(computed),
        "rho": 1 + torch.rand(1, heads, dtype=torch.double).to(computed),
    }
    if not priors:
        return named
    segments = Segments.from_places(named["ptr"], named["order"], nodes)
    log_q0 = torch.randn(nodes, heads, dtype=torch.double)
    log_q0 = log_q0 - segments.gather(segments.logsumexp(log_q0))
    log_p0 = torch.randn(heads, channels, dtype=torch.double).log_softmax(-1)
    values = torch.randn_like(named["x"])
    more = {"values": values, "log_p0": log_p0.to(computed)}
    return named | more | {"log_q0": log_q0.to(computed)}


def reference(sample: Sample, named: dict[str, Tensor], grad: Tensor):
    """The portable path's output and gradients, in float64."""
    doubles = {
        name: t.double().requires_grad_() if t.is_floating_point() else t
        for name, t in named.items()
    }
    moving = [n for n in sample.tensors if n in named and n not in LAYOUT]
    pooled = sample.portable(*sample.given(doubles), *sample.options)
    found = torch.autograd.grad(
        pooled,
        [doubles[name] for name in moving],
        grad.double(),
        allow_unused=True,
        materialize_grads=True,
    )
    return pooled, dict(zip(moving, found, strict=True))


def largest(tensor: Tensor) -> float:
    return max(1.0, tensor.abs().max().item() if tensor.numel() else 0.0)


def kept_of_sets_with_nodes(
    sample: Sample, outputs: tuple[Tensor, ...], ptr: Tensor
) -> list[Tensor]:
    """Outputs without the sums of empty sets, which Sinkhorn neither has nor reads."""
    if sample is not SINKHORN:
        return list(outputs)
    pooled, bias, log_sums, centre = outputs
    return [pooled, bias, log_sums[:, ptr.diff() > 0], centre]


@pytest.mark.parametrize("sample", UNROLLED, ids=["sinkhorn", "badmm-e", "badmm-q"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("priors", PRIORS.values(), ids=PRIORS)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_every_output_is_written(sample, sizes, priors, dtype) -> None:
    named = draw(sizes, priors, dtype)
    outputs = sample.forward(named)
    grad = torch.randn_like(outputs[0])
    found = sample.backward(grad, named, outputs)
    for output in kept_of_sets_with_nodes(sample, outputs, named["ptr"]):
        assert output.isfinite().all()
    pooled, expected = reference(sample, named, grad)
    close = 1e-11 if dtype == torch.float64 else 2e-4
    torch.testing.assert_close(outputs[0].double(), pooled, rtol=close, atol=close)
    for name, exact in expected.items():
        assert found[name].dtype == named[name].dtype
        size = largest(exact)
        bound = max(close, torch.finfo(found[name].dtype).eps) * size
        torch.testing.assert_close(found[name].double(), exact, rtol=0, atol=bound)


@pytest.mark.parametrize("priors", PRIORS.values(), ids=PRIORS)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_a_fixed_point_is_one_of_many_steps(sizes, priors) -> None:
    named = draw(sizes, priors)
    segments = Segments.from_places(named["ptr"], named["order"], named["x"].size(0))
    if not priors:
        counts = segments.counts.double().log()
        named["log_q0"] = -segments.gather(counts).unsqueeze(-1).repeat(1, 2)
        named["log_p0"] = torch.zeros(2, 5, dtype=torch.double).log_softmax(-1)
    outputs = FIXED_POINT.forward(named)
    assert outputs[2].all()
    steps = Sample("sinkhorn", FIXED, (400, 0.0, 0.0), (0, 2, 3), SINKHORN.portable)
    grad = torch.randn_like(outputs[0])
    pooled, expected = reference(steps, named, grad)
    found = FIXED_POINT.backward(grad, named, outputs)
    torch.testing.assert_close(outputs[0], pooled, rtol=1e-8, atol=1e-8)
    for name in ("x", "t", "r_p", "r_q"):
        size = max(
            1.0, expected[name].abs().max().item() if expected[name].numel() else 0
        )
        torch.testing.assert_close(
            found[name], expected[name], rtol=0, atol=1e-7 * size
        )


@EACH
def test_a_tensor_given_twice_is_read_twice(sample: Sample) -> None:
    named = draw((3, 0, 1, 7), priors=True)
    named["values"] = named["x"]
    named["r_q"] = named["r_p"]
    apart = {name: tensor.clone() for name, tensor in named.items()}
    for one, other in zip(sample.forward(named), sample.forward(apart), strict=True):
        assert one.equal(other)


def strided(x: Tensor) -> Iterator[Tensor]:
    """The same numbers in other strides, and with bits that say otherwise."""
    yield x.t().contiguous().t()
    yield torch.stack([x, -x], -1)[..., 0]
    yield torch.cat([x, x])[: x.size(0)]
    yield torch._neg_view(-x)
    yield torch.complex(x, -x).conj().real
    yield torch.complex(x, -x).conj().imag


@pytest.mark.parametrize(
    "arguments",
    [{}, {"solver": "badmm"}, {"tol": 1e-9}, {"heads": 2, "normalize": False}],
    ids=str,
)
def test_layers_take_any_strides(arguments: dict) -> None:
    layer, x = UOTPAggregation(4, **arguments).double(), torch.randn(6, 4).double()
    index, prior = torch.tensor([0, 2, 0, 2, 2, 3]), torch.rand(6, 1).double() + 0.1
    expected = layer(x, index, node_prior=prior)
    weight = torch.randn_like(expected)
    (of_x,) = torch.autograd.grad((layer(x.requires_grad_(), index) * weight).sum(), x)
    scattered = torch.stack([index, index + 9], -1)[:, 0]
    for view in strided(x.detach()):
        view = view.detach()
        assert view.equal(x)
        for places in (index, scattered):
            out = layer(view, places, node_prior=next(strided(prior)))
            torch.testing.assert_close(out, expected)
        view = view.requires_grad_()
        (found,) = torch.autograd.grad(layer(view, index), view, _negative(weight))
        torch.testing.assert_close(found, of_x)
    row = x.detach()[:1].expand(6, 4)
    torch.testing.assert_close(layer(row, index), layer(row.contiguous(), index))


def _negative(weight: Tensor) -> Tensor:
    return torch._neg_view(-weight)


@EACH
@pytest.mark.parametrize("name", ["x", "t", "log_q0", "ptr", "order"])
def test_operators_take_contiguous_tensors_alone(sample: Sample, name: str) -> None:
    named = draw((3, 0, 1, 7), priors=True)
    named[name] = torch.stack([named[name]] * 2, -1)[..., 0]
    with pytest.raises(RuntimeError, match=f"{name} must be a contiguous CPU tensor"):
        sample.forward(named)


@EACH
@pytest.mark.parametrize("name", ["values", "t", "r_p", "log_p0", "log_q0", "ptr"])
def test_operators_name_a_type_or_a_shape_that_does_not_fit(sample, name: str) -> None:
    named = draw((3, 0, 1, 7), priors=True)
    for wrong in (named[name].to(torch.float16), named[name].to(torch.complex64)):
        with pytest.raises(RuntimeError, match=f"{name} has another dtype"):
            sample.forward({**named, name: wrong})
    longer = torch.cat([named[name]] * 2, -1)
    with pytest.raises(RuntimeError, match=f"{name} (has another shape|must )"):
        sample.forward({**named, name: longer})


@EACH
def test_a_backward_pass_checks_what_it_is_given(sample: Sample) -> None:
    named = draw((3, 0, 1, 7))
    outputs = sample.forward(named)
    grad = torch.randn_like(outputs[0])
    wrong = (grad[:-1], grad.float(), grad.transpose(0, 1), torch._neg_view(-grad))
    for one in wrong[:3]:
        with pytest.raises(RuntimeError, match=r"grad (has another|must be)"):
            sample.backward(one, named, outputs)
    for i in sample.kept:
        short = tuple(
            o[..., :-1].contiguous() if j == i else o for j, o in enumerate(outputs)
        )
        with pytest.raises(RuntimeError, match="has another shape than it needs"):
            sample.backward(grad, named, short)
    resolved = sample.backward(grad, named, outputs)
    flipped = sample.backward(wrong[3], named, outputs)
    for name, tensor in resolved.items():
        torch.testing.assert_close(flipped[name], tensor, msg=name)


@EACH
def test_operators_read_negative_bits(sample: Sample) -> None:
    named = draw((3, 0, 1, 7), priors=True)
    turned = {
        name: torch._neg_view(-tensor) if tensor.is_floating_point() else tensor
        for name, tensor in named.items()
    }
    for one, other in zip(sample.forward(turned), sample.forward(named), strict=True):
        assert one.equal(other)


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
