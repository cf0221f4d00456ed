import math
import pickle
from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor
from torch.nn import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    Module,
)

from tests.residual import ResNet, torchvision_resnet
from torch_geometric_uotp import UOTPAggregation, UOTPPool2d

FORMATS = pytest.mark.parametrize(
    "memory_format",
    [torch.contiguous_format, torch.channels_last],
    ids=["contiguous", "channels_last"],
)


def value_and_gradient(pool: Callable[[Tensor], Tensor], x: Tensor, direction: Tensor):
    x = x.detach().requires_grad_()
    out = pool(x)
    return out, torch.autograd.grad(out, x, direction)[0]


@FORMATS
@pytest.mark.parametrize(
    ("name", "reference"),
    [("mean", AdaptiveAvgPool2d(1)), ("max", AdaptiveMaxPool2d(1))],
)
@pytest.mark.parametrize("shape", [(3, 8, 5, 7), (8, 5, 7), (2, 8, 1, 1), (0, 8, 5, 7)])
def test_is_exactly_the_pooling_of_torch(
    shape: tuple[int, ...], name: str, reference: Module, memory_format
) -> None:
    x = torch.randn(shape)
    if x.dim() == 4:
        x = x.contiguous(memory_format=memory_format)
    direction = torch.randn(*shape[:-2], 1, 1)
    found = value_and_gradient(UOTPPool2d.like(name, 8), x, direction)
    expected = value_and_gradient(reference, x, direction)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@FORMATS
@pytest.mark.parametrize("options", [{}, {"heads": 2, "node_prior": "attention"}])
def test_pixels_are_the_nodes_of_a_set(options: dict, memory_format) -> None:
    pool = UOTPPool2d(6, **options)
    x = torch.randn(3, 6, 4, 5).contiguous(memory_format=memory_format)
    for image, pooled, alone in zip(x, pool(x), x.split(1), strict=True):
        pixels = torch.stack([image[:, i, j] for i in range(4) for j in range(5)])
        expected = pool.readout(pixels).view(6, 1, 1)
        torch.testing.assert_close(pooled, expected)
        torch.testing.assert_close(pool(image), expected)
        torch.testing.assert_close(pool(alone)[0], expected)


def test_channels_last_is_read_in_place() -> None:
    seen = []
    pool = UOTPPool2d(6)
    pool.readout.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    x = torch.randn(3, 6, 4, 5).contiguous(memory_format=torch.channels_last)
    for images in (x, x[1], x.half()):
        pool(images)
        assert seen[-1].is_contiguous()
    pool(x.contiguous())
    in_place = [pixels.data_ptr() for pixels in (seen[0], seen[1])]
    assert in_place == [x.data_ptr(), x[1].data_ptr()]
    torch.testing.assert_close(seen[3], seen[0])


def test_a_crop_is_pooled_like_its_copy() -> None:
    crop = torch.randn(2, 6, 9, 9)[..., 2:6, 1:8]
    pool = UOTPPool2d(6)
    torch.testing.assert_close(pool(crop), pool(crop.clone()))


@pytest.mark.parametrize("options", [{}, {"solver": "badmm"}])
def test_gradients_are_those_of_finite_differences(options: dict) -> None:
    pool = UOTPPool2d(3, **options).double()
    x = torch.randn(2, 3, 2, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: pool(x), (x, *pool.parameters()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    x, pool = torch.randn(2, 6, 4, 5), UOTPPool2d(6)
    found = pool(x.to(dtype))
    expected = pool(x.to(dtype).float()).to(dtype)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_under_autocast() -> None:
    torch.manual_seed(0)
    model, x = ResNet(), torch.randn(2, 3, 16, 16)
    model.avgpool = UOTPPool2d(32)
    expected = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(x)
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)
    found.float().square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_solve_returns_what_the_pooling_did() -> None:
    pool, x = UOTPPool2d(6, heads=2), torch.randn(3, 6, 4, 5)
    solution = pool.solve(x)
    assert solution.pooled.view(3, 6, 1, 1).equal(pool(x))
    assert solution.plan.shape == (60, 6)
    mass = solution.node_marginal.view(3, 4, 5, 2).sum((1, 2))
    torch.testing.assert_close(mass, torch.ones(3, 2))
    one = pool.solve(x[1])
    torch.testing.assert_close(one.plan, solution.plan[20:40])


@FORMATS
@pytest.mark.parametrize("build", [ResNet, torchvision_resnet])
def test_takes_the_place_of_a_resnets_pooling(build, memory_format) -> None:
    model = build().to(memory_format=memory_format).eval()
    x = torch.randn(2, 3, 32, 32).contiguous(memory_format=memory_format)
    expected = model(x)
    channels = model.fc.in_features
    model.avgpool = UOTPPool2d.like("mean", channels)
    torch.testing.assert_close(model(x), expected, rtol=1e-6, atol=1e-6)
    model.avgpool = UOTPPool2d(channels)
    model.train()(x).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
    assert all(p.grad.abs().min() > 0 for p in model.avgpool.parameters())


@FORMATS
def test_compiles_once_for_all_shapes(memory_format) -> None:
    pool = UOTPPool2d(6)
    torch.compiler.reset()
    compiled = torch.compile(pool, backend="aot_eager", fullgraph=True, dynamic=True)
    for stance, shape in (
        ("default", (2, 6, 4, 5)),
        ("fail_on_recompile", (3, 6, 7, 8)),
    ):
        x = torch.randn(shape).contiguous(memory_format=memory_format)
        direction = torch.randn(*shape[:2], 1, 1)
        with torch.compiler.set_stance(stance):
            found = value_and_gradient(compiled, x, direction)
        expected = value_and_gradient(pool, x, direction)
        torch.testing.assert_close(found, expected)
    torch.compiler.reset()


def test_exports_with_any_resolution() -> None:
    batch, height, width = (torch.export.Dim(n, min=2, max=64) for n in "bhw")
    program = torch.export.export(
        UOTPPool2d(6),
        (torch.randn(2, 6, 4, 5),),
        dynamic_shapes={"x": {0: batch, 2: height, 3: width}},
    )
    x = torch.randn(3, 6, 7, 6)
    torch.testing.assert_close(program.module()(x), UOTPPool2d(6)(x))


@pytest.mark.parametrize(
    "copy", [deepcopy, lambda pool: pickle.loads(pickle.dumps(pool))]
)
def test_copies_and_states(copy) -> None:
    pool, x = UOTPPool2d(6, solver="badmm"), torch.randn(2, 6, 4, 5)
    with torch.no_grad():
        pool.readout.coefficient.t.add_(0.02)
    other = UOTPPool2d(6, solver="badmm")
    other.load_state_dict(pool.state_dict())
    assert copy(pool)(x).equal(pool(x))
    assert other(x).equal(pool(x))
    other.reset_parameters()
    assert other.coefficients()["t"].item() == pytest.approx(1)


def test_an_image_without_pixels_gives_0() -> None:
    x = torch.randn(2, 6, 0, 5, requires_grad=True)
    assert UOTPPool2d(6)(x).equal(torch.zeros(2, 6, 1, 1))


def test_options_are_those_of_the_aggregation() -> None:
    pool = UOTPPool2d(6, alpha0=math.inf, heads=3, learn=False)
    assert not list(pool.parameters())
    assert repr(pool) == (
        f"UOTPPool2d({UOTPAggregation(6, alpha0=math.inf, heads=3, learn=False)})"
    )
    with pytest.raises(ValueError, match=r"'name' must be one of .*'median'"):
        UOTPPool2d.like("median", 6)
    with pytest.raises(ValueError, match=r"softmax.*solver='badmm'"):
        UOTPPool2d.like("softmax", 6, solver="badmm")


@pytest.mark.parametrize("shape", [(2, 5, 4, 4), (6, 4), (1, 2, 6, 4, 4), (2, 4, 4, 6)])
def test_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[B, 6, H, W\] or \[6, H, W\] \(got"):
        UOTPPool2d(6)(torch.randn(shape))
