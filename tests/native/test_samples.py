"""Each operator on samples of its arguments, where fresh memory is NaN.

Raw operators take dense, contiguous tensors and refuse others; what calls them makes
such tensors of any strides.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.native.samples import (
    DTYPES,
    FIXED,
    FIXED_POINT,
    PRIORS,
    SAMPLES,
    SINKHORN,
    SIZES,
    UNROLLED,
    Sample,
    draw,
    fresh_memory_of_nan,
    reference,
)
from torch_geometric_uotp import UOTPAggregation, ops
from torch_geometric_uotp.segments import Segments

pytestmark = pytest.mark.skipif(not ops.AVAILABLE, reason="the library is not built")


@pytest.fixture(autouse=True)
def _nan() -> Iterator[None]:
    with fresh_memory_of_nan():
        assert torch.empty(3).isnan().all()
        yield


EACH = pytest.mark.parametrize(
    "sample", SAMPLES, ids=["sinkhorn", "badmm-e", "badmm-q", "fixed_point"]
)


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
