"""Clauses on compiling, exporting, copying, saving and training."""

import pickle
from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch_geometric.nn.aggr import Aggregation

from tests.conformance.case import Batch, Case, check_close, check_same, gradients

TOLERANCE = 1e-5
SHAPES = ((4, 3, 5), (2, 6, 7, 3, 2))


def compiling(case: Case) -> None:
    """``torch.compile(fullgraph=True, dynamic=True)``, once for all shapes."""
    check_compiled(case, backend="aot_eager")


def check_compiled(case: Case, backend: str) -> None:
    """Compiled, output and gradients are as before; a new shape recompiles nothing."""
    aggr = case.build()

    def pool(x: Tensor, index: Tensor, dim_size: int) -> Tensor:
        return aggr(x, index, dim_size=dim_size)

    torch.compiler.reset()
    compiled = torch.compile(pool, backend=backend, fullgraph=True, dynamic=True)
    try:
        for stance, sizes in zip(("default", "fail_on_recompile"), SHAPES, strict=True):
            with torch.compiler.set_stance(stance):
                _check_alike(aggr, compiled, Batch.of(*sizes))
    finally:
        torch.compiler.reset()


def exporting(case: Case) -> None:
    """``torch.export`` with any number of nodes."""
    aggr, first, second = case.build(), Batch.of(4, 3, 5), Batch.of(6, 1, 2)
    nodes = torch.export.Dim("nodes", min=2, max=1024)
    program = torch.export.export(
        _Readout(aggr),
        (first.x, first.index),
        dynamic_shapes={"x": {0: nodes}, "index": {0: nodes}},
    )
    expected = aggr(second.x, second.index, dim_size=3)
    actual = program.module()(second.x, second.index)
    check_close(actual, expected, TOLERANCE, "the exported output")


def transforming(case: Case) -> None:
    """``torch.func``: ``vmap`` of ``grad`` gives what one call an example gives."""
    aggr = case.build(torch.float64)
    batch = Batch.of(4, 3, 5, dtype=torch.float64, lead=(2,))
    weight = torch.linspace(0.5, 1.5, 12, dtype=torch.float64).view(3, -1)

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        arguments = (x, batch.index), {"dim_size": 3}
        out = torch.func.functional_call(aggr, parameters, *arguments)
        return (out.view(3, -1)[:, :4] * weight).sum()

    parameters = {name: p.detach() for name, p in aggr.named_parameters()}
    derivative = torch.func.vmap(torch.func.grad(loss, (0, 1)), in_dims=(None, 0))
    of_parameters, of_x = derivative(parameters, batch.x)
    for i, x in enumerate(batch.x):
        moving = {name: p.requires_grad_() for name, p in parameters.items()}
        inputs = (x.requires_grad_(), *moving.values())
        expected = torch.autograd.grad(loss(moving, x), inputs, materialize_grads=True)
        actual = (of_x[i], *(of_parameters[name][i] for name in moving))
        for name, one, other in zip(("x", *moving), actual, expected, strict=True):
            check_close(one, other, TOLERANCE, f"the gradient of {name}")


def forward_mode(case: Case) -> None:
    """Derivatives along a direction, in forward mode, are those of reverse mode."""
    aggr, batch = case.build(torch.float64), Batch.of(4, 3, 5, dtype=torch.float64)
    along = Batch.of(4, 3, 5, dtype=torch.float64, seed=3).x

    def pool(x: Tensor) -> Tensor:
        return aggr(x, batch.index, dim_size=3)

    jacobian = torch.autograd.functional.jacobian(pool, batch.x)
    with forward_ad.dual_level():
        out = pool(forward_ad.make_dual(batch.x, along))
        tangent = forward_ad.unpack_dual(out).tangent
    if tangent is None:
        raise AssertionError("the output has no derivative in forward mode")
    expected = torch.tensordot(jacobian, along)
    check_close(tangent, expected, TOLERANCE, "the derivative")


def deep_copying(case: Case) -> None:
    """``copy.deepcopy`` gives an independent, equal layer."""
    _check_copy(case, deepcopy)


def pickling(case: Case) -> None:
    """So does pickling."""
    _check_copy(case, lambda aggr: pickle.loads(pickle.dumps(aggr)))


def state_dict(case: Case) -> None:
    """The state of one layer makes another one equal."""

    def reload(aggr: Aggregation) -> Aggregation:
        other = case.build()
        other.load_state_dict(aggr.state_dict(), strict=True)
        return other

    _check_copy(case, reload)


def all_gradients(case: Case) -> None:
    """Every parameter gets a gradient (data-parallel training needs that)."""
    found = _gradients(case.build(torch.float64), sign=1)
    without = [name for name, value in found.items() if value is None]
    if without:
        raise AssertionError(f"no gradient for {', '.join(without)}")


def live_parameters(case: Case) -> None:
    """Every parameter can learn: its gradient is not 0 from the first steps on."""
    dead = set(dict(case.build().named_parameters()))
    for direction in (1, -1):
        aggr = case.build(torch.float64)
        for _ in range(3):
            for sign in (-direction, direction):
                found = _gradients(aggr, sign)
                dead -= {name for name in dead if _is_nonzero(found[name])}
            _descend(aggr, found)
    if dead:
        raise AssertionError(f"zero gradient for {', '.join(sorted(dead))}")


def _gradients(aggr: Aggregation, sign: int) -> dict:
    batch = Batch.of(4, 3, 5, dtype=torch.float64)
    return gradients(aggr, batch.x, lambda x: sign * aggr(x, batch.index, dim_size=3))


def _is_nonzero(value: Tensor | None) -> bool:
    return value is not None and bool((value.abs() > 1e-12).any())


def _descend(aggr: Aggregation, found: dict) -> None:
    with torch.no_grad():
        for name, parameter in aggr.named_parameters():
            if found[name] is not None:
                parameter -= 0.01 * found[name].sign()


def _check_copy(case: Case, copy: Callable[[Aggregation], Aggregation]) -> None:
    """The copy of a changed layer equals it, and does not change with it."""
    aggr, batch = case.build(), Batch.of(4, 3, 5)
    _shift(aggr)
    other = copy(aggr)
    expected = aggr(batch.x, batch.index, dim_size=3)
    check_close(other(batch.x, batch.index, dim_size=3), expected, 0, "the copy")
    _shift(aggr)
    check_close(other(batch.x, batch.index, dim_size=3), expected, 0, "the copy later")


def _shift(aggr: Aggregation) -> None:
    with torch.no_grad():
        for parameter in aggr.parameters():
            parameter += 0.1


def _check_alike(aggr: Aggregation, compiled: Callable, batch: Batch) -> None:
    size = batch.num_sets
    expected = gradients(aggr, batch.x, lambda x: aggr(x, batch.index, dim_size=size))
    actual = gradients(aggr, batch.x, lambda x: compiled(x, batch.index, size))
    check_same(actual, expected, TOLERANCE, "compiled")


class _Readout(torch.nn.Module):
    def __init__(self, aggr: Aggregation) -> None:
        super().__init__()
        self.aggr = aggr

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        return self.aggr(x, index, dim_size=3)
