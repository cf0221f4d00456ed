"""Clauses on floating types, derivatives, bad values and reproducibility."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call
from torch_geometric.nn.aggr import Aggregation

from tests.conformance.case import (
    Batch,
    Case,
    check_close,
    check_finite,
    check_same,
    gradients,
)

Grouping = Callable[[Batch], dict[str, Any]]
HALVES = (torch.bfloat16, torch.float16)


def single_precision(case: Case) -> None:
    """float32 agrees with float64."""
    _check_dtype(case, torch.float32, tolerance=2e-5)


def half_precision(case: Case) -> None:
    """A layer in bfloat16 or float16 is right to the type's rounding."""
    for dtype in HALVES:
        _check_dtype(case, dtype, _half_tolerance(dtype))


def half_precision_ptr(case: Case) -> None:
    """So it is with ``ptr`` alone."""
    for dtype in HALVES:
        _check_dtype(case, dtype, _half_tolerance(dtype), Batch.by_ptr)


def half_features(case: Case) -> None:
    """A float32 layer takes half-precision features, and returns their type."""
    aggr, batch = case.build(), Batch.of(300, 1, 7)
    for dtype in HALVES:
        x = batch.x.to(dtype)
        expected = aggr(x.float(), batch.index, dim_size=3)
        out = aggr(x, batch.index, dim_size=3)
        _check_type(out, dtype)
        check_close(out, expected, _half_tolerance(dtype), f"the output in {dtype}")


def autocast(case: Case) -> None:
    """Under autocast to bfloat16, close to float32, with finite gradients."""
    aggr, batch = case.build(), Batch.of(30, 1, 7)

    def pool(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return aggr(x, batch.index, dim_size=3)

    expected = gradients(aggr, batch.x, lambda x: aggr(x, batch.index, dim_size=3))
    check_same(gradients(aggr, batch.x, pool), expected, 0.05, "autocast")


def first_derivative(case: Case) -> None:
    """Gradients of x and of all parameters are those of finite differences."""
    gradcheck(*_as_function(case), fast_mode=True)


def second_derivative(case: Case) -> None:
    """So are second derivatives."""
    gradgradcheck(*_as_function(case), fast_mode=True)


def second_derivative_ptr(case: Case) -> None:
    """So are they with ``ptr`` alone."""
    gradgradcheck(*_as_function(case, Batch.by_ptr), fast_mode=True)


def non_finite_neighbour(case: Case) -> None:
    """NaN or inf in one set reaches no other set's output or gradient."""
    aggr, batch = case.build(), Batch.of(4, 3, 5)
    others = batch.index != 1
    expected = gradients(aggr, batch.x, lambda x: aggr(x, batch.index, dim_size=3))
    for value in (torch.nan, torch.inf, -torch.inf):
        x = batch.x.index_fill(0, batch.ptr[1:2], value)
        actual = gradients(aggr, x, lambda x: aggr(x, batch.index, dim_size=3))
        for g in (0, 2):
            check_close(
                actual["out"][g], expected["out"][g], 1e-6, f"output beside {value}"
            )
        found, right = actual["x"][others], expected["x"][others]
        check_close(found, right, 1e-6, f"the gradient of x beside {value}")


def batching(case: Case) -> None:
    """A batch gives what one call a set gives."""
    aggr, batch = case.build(), Batch.of(40, 1, 7, 3)
    together = gradients(aggr, batch.x, lambda x: aggr(x, batch.index, dim_size=4))
    for g in range(batch.num_sets):
        alone = aggr(batch.set_of(g), dim_size=1)[0]
        check_close(together["out"][g], alone, case.batching, f"set {g}")


def threads(case: Case) -> None:
    """One thread or two, the same bits."""
    sizes = [*range(1, 160), 1000, 1000]
    aggr, batch = case.build(), Batch.of(*sizes)

    def run(num_threads: int) -> dict:
        torch.set_num_threads(num_threads)
        return gradients(aggr, batch.x, lambda x: aggr(x, batch.index))

    before = torch.get_num_threads()
    try:
        check_same(run(2), run(1), 0.0, "two threads")
    finally:
        torch.set_num_threads(before)


def large_features(case: Case) -> None:
    """Features scaled by 1e-6 to 1e6: finite output and gradients."""
    aggr, batch = case.build(), Batch.of(6, 1, 9)
    for scale in (1e-6, 1e-3, 1e3, 1e6):
        found = gradients(
            aggr, batch.x * scale, lambda x: aggr(x, batch.index, dim_size=3)
        )
        for name, value in found.items():
            if value is not None:
                check_finite(value, f"{name} at scale {scale:g}")


def _check_dtype(
    case: Case,
    dtype: torch.dtype,
    tolerance: float,
    grouping: Grouping = Batch.by_index,
) -> None:
    """Output and gradient of x against the same layer and features in float64."""
    aggr = case.build(dtype)
    exact = deepcopy(aggr).double()
    batch = Batch.of(600, 1, 7, 40, dtype=dtype)
    # Off centre, so that a sum grows beyond the digits of its next term.
    x, sets = batch.x + 1, grouping(batch)
    actual = gradients(aggr, x, lambda x: aggr(x, **sets))
    expected = gradients(exact, x.double(), lambda x: exact(x, **sets))
    _check_type(actual["out"], dtype)
    for name in ("out", "x"):
        check_close(actual[name], expected[name], tolerance, f"{name} in {dtype}")


def _half_tolerance(dtype: torch.dtype) -> float:
    """Four roundings to nearest."""
    return 2 * torch.finfo(dtype).eps


def _check_type(out: Tensor, dtype: torch.dtype) -> None:
    if out.dtype != dtype:
        raise AssertionError(f"the output is {out.dtype}, not {dtype}")


def _as_function(case: Case, grouping: Grouping = Batch.by_index) -> tuple:
    """A function of (x, *parameters) in float64, and its inputs."""
    aggr: Aggregation = case.build(torch.float64)
    batch = Batch.of(3, 1, 4, dtype=torch.float64)
    varied = {
        name: parameter
        for name, parameter in aggr.named_parameters()
        if not name.startswith(case.at_bounds)
    }

    def pool(x: Tensor, *parameters: Tensor) -> Tensor:
        table = dict(zip(varied, parameters, strict=True))
        return functional_call(aggr, table, (x,), grouping(batch))

    return pool, (batch.x.requires_grad_(), *varied.values())
