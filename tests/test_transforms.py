from copy import deepcopy

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call, hessian, jvp, stack_module_state, vmap

from torch_geometric_uotp import UOTPAggregation
from torch_geometric_uotp.transforms import transformed, values_known

INDEX = torch.tensor([0, 1, 0, 2, 2, 2])
X = torch.rand(6, 4, dtype=torch.double, generator=torch.Generator().manual_seed(0))

LAYERS = pytest.mark.parametrize(
    "layer",
    [
        UOTPAggregation(4),
        UOTPAggregation(4, solver="badmm"),
        UOTPAggregation.like("max", 4),
        UOTPAggregation.spread(4),
    ],
    ids=["sinkhorn", "badmm", "max", "spread"],
)


def test_transforms_are_seen_while_they_last() -> None:
    seen: list[tuple[bool, bool]] = []

    def look(x: Tensor) -> Tensor:
        seen.append((transformed(), values_known()))
        return x.sum()

    look(X)
    torch.func.grad(look)(X)
    vmap(look)(X)
    with forward_ad.dual_level():
        look(X)
    look(X)
    assert seen == [(False, True), *[(True, False)] * 3, (False, True)]


@LAYERS
def test_an_ensemble_is_one_call(layer: UOTPAggregation) -> None:
    layers = [deepcopy(layer).double() for _ in range(3)]
    with torch.no_grad():
        for i, other in enumerate(layers):
            for parameter in other.parameters():
                parameter -= 0.01 * i
    state = stack_module_state(layers)

    def call(parameters: dict, buffers: dict) -> Tensor:
        arguments = (X, INDEX), {"dim_size": 3}
        return functional_call(layers[0], (parameters, buffers), *arguments)

    expected = torch.stack([other(X, INDEX, dim_size=3) for other in layers])
    torch.testing.assert_close(vmap(call)(*state), expected)


@LAYERS
def test_examples_may_be_laid_out_differently(layer: UOTPAggregation) -> None:
    layer, index = deepcopy(layer).double(), torch.stack([INDEX, INDEX.flip(0)])
    found = vmap(lambda i: layer(X, i, dim_size=3))(index)
    expected = torch.stack([layer(X, i, dim_size=3) for i in index])
    torch.testing.assert_close(found, expected)


@LAYERS
def test_a_hessian_is_that_of_autograd(layer: UOTPAggregation) -> None:
    layer = deepcopy(layer).double()

    def loss(x: Tensor) -> Tensor:
        return layer(x, INDEX, dim_size=3).square().sum()

    expected = torch.autograd.functional.hessian(loss, X)
    torch.testing.assert_close(hessian(loss)(X), expected)


@LAYERS
def test_a_compiler_sees_transforms_too(layer: UOTPAggregation) -> None:
    layer, along = deepcopy(layer).double().requires_grad_(False), torch.rand(6, 4)

    def loss(x: Tensor) -> Tensor:
        return layer(x, INDEX, dim_size=3).square().sum()

    def derivatives(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return jvp(loss, (x,), (v,))[1], torch.func.grad(loss)(x)

    torch.compiler.reset()
    compiled = torch.compile(derivatives, backend="aot_eager", fullgraph=True)
    given = X, along.double()
    torch.testing.assert_close(compiled(*given), derivatives(*given))
    torch.compiler.reset()


def test_at_a_bound_coefficients_move_along_a_direction_that_points_inwards() -> None:
    layer = UOTPAggregation(4, alpha2=torch.inf).double()
    (start,) = (p for name, p in layer.named_parameters() if name.endswith("r_q"))

    def pool(r_q: Tensor) -> Tensor:
        return functional_call(
            layer, {"coefficient.r_q": r_q}, (X, INDEX), {"dim_size": 3}
        )

    origin, one = start.detach(), torch.ones_like(start)
    _, outwards = jvp(pool, (origin,), (one,))
    _, inwards = jvp(pool, (origin,), (-one,))
    assert outwards.count_nonzero() == 0
    step = 1e-7
    slope = (pool(origin - step) - pool(origin)) / step
    torch.testing.assert_close(inwards, slope, rtol=1e-4, atol=1e-6)


def test_a_tolerance_is_refused() -> None:
    layer = UOTPAggregation(4, tol=1e-3)
    with pytest.raises(ValueError, match=r"need 'num_steps' .got tol=0.001"):
        vmap(lambda x: layer(x, INDEX, dim_size=3))(X[None])
