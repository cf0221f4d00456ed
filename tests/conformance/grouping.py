"""Clauses on how nodes are put into sets, and on the axes."""

from typing import Any

import torch
from torch import Tensor
from torch_geometric.nn.aggr import Aggregation

from tests.conformance.case import (
    CHANNELS,
    Batch,
    Case,
    check_close,
    check_same,
    check_zero,
    gradients,
)

TOLERANCE = 2e-6


def unsorted_index(case: Case) -> None:
    """``index`` need not be sorted."""
    aggr, batch = case.build(), Batch.of(4, 3, 5)
    index = batch.index[torch.randperm(batch.index.numel())]
    # Each set's nodes keep their order, which is another clause's concern.
    x = torch.empty_like(batch.x)
    x[index.argsort(stable=True)] = batch.x
    expected = aggr(batch.x, batch.index, dim_size=3)
    check_close(aggr(x, index, dim_size=3), expected, TOLERANCE, "the output")


def permutation(case: Case) -> None:
    """The order of a set's nodes does not matter."""
    aggr, batch = case.build(), Batch.of(6, 1, 5)
    order = torch.rand(batch.index.numel()).argsort()
    order = order[batch.index[order].argsort(stable=True)]
    expected = aggr(batch.x, batch.index, dim_size=3)
    check_close(aggr(batch.x[order], batch.index), expected, TOLERANCE, "the output")


def ptr_alone(case: Case) -> None:
    """``ptr`` without ``index``."""
    aggr, batch = case.build(), Batch.of(4, 3, 5)
    _check_with_index(aggr, batch, aggr(batch.x, ptr=batch.ptr))


def ptr_and_index(case: Case) -> None:
    """``ptr`` and ``index`` together."""
    aggr, batch = case.build(), Batch.of(4, 3, 5)
    _check_with_index(aggr, batch, aggr(batch.x, batch.index, ptr=batch.ptr))


def one_set(case: Case) -> None:
    """Neither ``index`` nor ``ptr``: all nodes are one set."""
    aggr, batch = case.build(), Batch.of(7)
    _check_with_index(aggr, batch, aggr(batch.x))


def trailing_sets(case: Case) -> None:
    """``dim_size`` beyond the last set: rows of 0 with zero gradient."""
    aggr, batch = case.build(), Batch.of(4, 1, 5)
    expected = gradients(aggr, batch.x, lambda x: aggr(x, batch.index, dim_size=3))
    actual = gradients(aggr, batch.x, lambda x: aggr(x, batch.index, dim_size=5)[:3])
    check_same(actual, expected, TOLERANCE, "with two more sets")
    _check_empty(case, batch.x, batch.index, dim_size=5, empty=slice(3, 5))


def empty_sets(case: Case) -> None:
    """An empty set before or between others: a row of 0 with zero gradient."""
    aggr, batch = case.build(), Batch.of(4, 1, 5)
    index, full = batch.index * 2 + 1, slice(1, None, 2)
    expected = gradients(aggr, batch.x, lambda x: aggr(x, batch.index, dim_size=3))
    actual = gradients(aggr, batch.x, lambda x: aggr(x, index, dim_size=6)[full])
    check_same(actual, expected, TOLERANCE, "between empty sets")
    _check_empty(case, batch.x, index, dim_size=6, empty=slice(0, None, 2))


def no_nodes(case: Case) -> None:
    """No nodes at all: rows of 0, and a backward pass that works."""
    nothing = torch.empty(0, dtype=torch.long)
    aggr, x = case.build(), torch.empty(0, CHANNELS)
    if aggr(x, nothing).size(0) != 0:
        raise AssertionError("there are rows without 'dim_size'")
    _check_empty(case, x, nothing, dim_size=3, empty=slice(None))


def single_node(case: Case) -> None:
    """A set of one node gives that node, with gradient 1."""
    aggr, batch = case.build(), Batch.of(1, 1, 1)
    actual = gradients(aggr, batch.x, lambda x: aggr(x, batch.index, dim_size=3))
    expected = gradients(aggr, batch.x, lambda x: x * 1)
    check_close(actual["out"], batch.x, TOLERANCE, "the output")
    check_close(actual["x"], expected["x"], TOLERANCE, "the gradient of x")


def leading_axes(case: Case) -> None:
    """x of shape [B, N, F] and [B, C, N, F]."""
    aggr, batch = case.build(), Batch.of(4, 3, 5, lead=(2, 3))
    for x in (batch.x[0], batch.x):
        expected = _stacked(case, x, batch.index)
        actual = aggr(x, batch.index, dim_size=3)
        check_close(actual, expected, TOLERANCE, f"the output for {x.dim()} axes")


def any_axis(case: Case) -> None:
    """The nodes on any axis but the channels'."""
    aggr, batch = case.build(), Batch.of(4, 3, 5, lead=(2, 3))
    flat = batch.x[0, 0]
    expected = aggr(flat, batch.index, dim_size=3)
    check_close(aggr(flat, batch.index, dim=0), expected, TOLERANCE, "with dim=0")
    expected = _stacked(case, batch.x, batch.index)
    for dim in (0, 1, 2, -4, -3):
        moved = aggr(batch.x.movedim(-2, dim), batch.index, dim_size=3, dim=dim)
        check_close(moved, expected.movedim(-2, dim), TOLERANCE, f"with {dim=}")


def bad_index(case: Case) -> None:
    """An ``index`` that does not fit is a ValueError."""
    x = Batch.of(4, 3).x
    fits = [0, 0, 0, 0, 1, 1, 1]
    _check_refused(case, x, index=torch.tensor([*fits[:-1], 2]), dim_size=2)
    _check_refused(case, x, index=torch.tensor([-1, *fits[1:]]), dim_size=2)
    _check_refused(case, x, index=torch.tensor(fits[1:]), dim_size=2)


def bad_ptr(case: Case) -> None:
    """A ``ptr`` that does not fit is a ValueError."""
    x = Batch.of(4, 3).x
    for ptr in ([1, 4, 7], [0, 4, 6], [0, 4, 8], [0, 5, 4, 7], [0, -1, 7]):
        _check_refused(case, x, ptr=torch.tensor(ptr))


def _check_refused(case: Case, x: Tensor, **sets: Any) -> None:
    try:
        case.build()(x, **sets)
    except ValueError:
        return
    name, value = next(iter(sets.items()))
    raise AssertionError(f"{name} {value.tolist()} is accepted for {x.size(0)} nodes")


def _check_with_index(aggr: Aggregation, batch: Batch, out: Tensor) -> None:
    """The output is that of an ascending ``index``."""
    expected = aggr(batch.x, batch.index, dim_size=batch.num_sets)
    check_close(out, expected, TOLERANCE, "the output")


def _check_empty(
    case: Case, x: Tensor, index: Tensor, dim_size: int, empty: slice
) -> None:
    """Rows ``empty`` of the output are 0, and so is every gradient through them."""
    aggr = case.build()
    found = gradients(aggr, x, lambda x: aggr(x, index, dim_size=dim_size)[empty])
    if found["out"].size(0) != len(range(*empty.indices(dim_size))):
        raise AssertionError(f"the output has not {dim_size} rows")
    for name, value in found.items():
        check_zero(value, f"the {'row' if name == 'out' else f'gradient of {name}'}")


def _stacked(case: Case, x: Tensor, index: Tensor) -> Tensor:
    """What pooling one matrix [N, F] of x [*, N, F] at a time gives."""
    aggr, size = case.build(), int(index[-1]) + 1
    pooled = [aggr(part, index, dim_size=size) for part in x.flatten(0, -3)]
    return torch.stack(pooled).unflatten(0, x.shape[:-2])
