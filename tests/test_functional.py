import itertools
import math

import pytest
import torch
from torch_geometric.nn import global_add_pool, global_max_pool, global_mean_pool

from torch_geometric_uotp import UOTPAggregation, ops, uotp_pool

INF = math.inf
BATCH = torch.tensor([2, 0, 0, 2, 4, 0, 2, 2, 1, 2])
SOLVERS = pytest.mark.parametrize(
    "solver",
    [{}, {"solver": "badmm"}, {"solver": "badmm", "regularizer": "quadratic"}],
    ids=["sinkhorn", "badmm-entropy", "badmm-quadratic"],
)


@SOLVERS
def test_equals_the_layer_of_the_same_coefficients(solver: dict) -> None:
    x = torch.randn(10, 6, dtype=torch.double)
    for alphas in itertools.product((0.0, 0.3, INF), repeat=3):
        options = dict(zip(("alpha0", "alpha1", "alpha2"), alphas, strict=True))
        layer = UOTPAggregation(6, learn=False, **options, **solver).double()
        found = uotp_pool(x, BATCH, 6, **options, **solver)
        # The layer's coefficients have been rounded to float32.
        torch.testing.assert_close(
            found, layer(x, BATCH, dim_size=6), atol=1e-6, rtol=0
        )
    torch.testing.assert_close(uotp_pool(x, BATCH), UOTPAggregation(6)(x, BATCH))


@pytest.mark.parametrize("size", [None, 6])
@pytest.mark.parametrize("shape", [(10,), (10, 3), (2, 10, 3), (2, 4, 10, 3)])
@pytest.mark.parametrize(
    ("alphas", "reference"),
    [
        ({"alpha0": INF}, global_mean_pool),
        ({"alpha0": 0.0, "alpha2": 0.0}, global_max_pool),
    ],
    ids=["mean", "max"],
)
def test_pools_as_pyg_does(
    alphas: dict, reference, shape: tuple[int, ...], size: int | None
) -> None:
    x = torch.randn(shape, dtype=torch.double, requires_grad=True)
    for batch, sets in ((BATCH, size), (None, None)):
        found = uotp_pool(x, batch, sets, **alphas)
        expected = reference(x, batch, sets)
        torch.testing.assert_close(found, expected)
        direction = torch.randn_like(expected)
        gradients = [
            torch.autograd.grad(out, x, direction)[0] for out in (found, expected)
        ]
        torch.testing.assert_close(*gradients)


@SOLVERS
@pytest.mark.parametrize("backend", ["portable", "native"])
@pytest.mark.parametrize("shape", [(0,), (0, 4), (2, 0, 4), (2, 3, 0, 4)])
def test_there_may_be_no_nodes(
    shape: tuple[int, ...], backend: str, solver: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "native" and not ops.AVAILABLE:
        pytest.skip("the library is not built")
    monkeypatch.setattr(ops, "AVAILABLE", backend == "native")
    x = torch.randn(shape, requires_grad=True)
    for batch, size in ((BATCH[:0], 3), (BATCH[:0], None), (None, None)):
        found = uotp_pool(x, batch, size, **solver)
        torch.testing.assert_close(found, global_add_pool(x, batch, size))
        found.sum().backward()


@SOLVERS
def test_gradients_are_those_of_finite_differences(solver: dict) -> None:
    x = torch.randn(10, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: uotp_pool(x, BATCH, 6, **solver), x)


def test_alpha0_of_0_has_the_gradient_of_the_maxima() -> None:
    x = torch.randn(10, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: uotp_pool(x, BATCH, alpha0=0), x)


def test_half_precision_is_computed_in_single() -> None:
    x = torch.randn(10, 3).to(torch.bfloat16)
    found = uotp_pool(x, BATCH)
    assert found.dtype == torch.bfloat16
    expected = uotp_pool(x.float(), BATCH).to(torch.bfloat16)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(uotp_pool(x, BATCH), expected, rtol=0, atol=0)


@pytest.mark.parametrize("alpha0", [0.0, 0.5])
def test_compiles_once_for_all_shapes(alpha0: float) -> None:
    def pool(x: torch.Tensor, batch: torch.Tensor, size: int) -> torch.Tensor:
        return uotp_pool(x, batch, size, alpha0=alpha0)

    torch.compiler.reset()
    compiled = torch.compile(pool, backend="aot_eager", fullgraph=True, dynamic=True)
    for stance, nodes in (("default", 10), ("fail_on_recompile", 17)):
        x, batch = torch.randn(nodes, 3), torch.arange(nodes) % 4
        with torch.compiler.set_stance(stance):
            torch.testing.assert_close(compiled(x, batch, 5), pool(x, batch, 5))
    torch.compiler.reset()


@pytest.mark.parametrize("solver", ["sinkhorn", "badmm"])
def test_no_channels_are_pooled_to_none(solver: str) -> None:
    x, batch = torch.zeros(5, 0), torch.zeros(5, dtype=torch.long)
    assert uotp_pool(x, batch, 2, solver=solver).shape == (2, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha0": -1.0}, "'alpha0' .*-1.0"),
        ({"alpha1": math.nan}, "'alpha1' .*nan"),
        ({"alpha0": 1e-20}, "'alpha0' must be 0 or at least 5.4e-20 in torch.float32"),
        ({"alpha2": -INF}, "'alpha2' .*-inf"),
        ({"solver": "simplex"}, "'solver' .*'simplex'"),
        ({"regularizer": "quadratic"}, "Sinkhorn .*'quadratic'"),
        ({"num_steps": 0}, "'num_steps' .*got 0"),
        ({"x": torch.zeros(10, 2, dtype=torch.long)}, "floating-point .*int64"),
        ({"x": torch.tensor(1.0)}, r"\[N\], \[N, F\] .*shape \(\)"),
        ({"size": 4}, r"\[0, 4\)"),
        ({"batch": None, "size": 2}, "'size' must be 1 without 'batch' .*got 2"),
    ],
)
def test_refuses_what_makes_no_sense(options: dict, message: str) -> None:
    given = {"x": torch.randn(10, 2), "batch": BATCH} | options
    with pytest.raises(ValueError, match=message):
        uotp_pool(**given)
