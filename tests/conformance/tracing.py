"""Clauses on shapes without values: meta and fake tensors, and what traces a call."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch_geometric.nn.aggr import Aggregation
from torch_geometric.nn.fx import Transformer

from tests.conformance.case import Batch, Case, check_close, check_same, gradients

TOLERANCE = 1e-5
Run = Callable[[dict[str, Tensor], Tensor, Tensor], tuple[Tensor, ...]]


def meta_device(case: Case) -> None:
    """On ``meta``: the shapes of the output and of its gradients, with ``dim_size``."""
    batch = Batch.of(4, 3, 5)
    _check_meta(case, batch)


def meta_leading_axes(case: Case) -> None:
    """So it is with x of shape [B, N, F]."""
    batch = Batch.of(4, 3, 5, lead=(2,))
    _check_meta(case, batch)


def other_device(case: Case) -> None:
    """x, ``index``, ``ptr`` or layer on another device: an error that names both."""
    batch = Batch.of(4, 3, 5)
    x, index, ptr = (part.to("meta") for part in (batch.x, batch.index, batch.ptr))
    _check_refused(case.build(), x, index=batch.index, dim_size=3)
    _check_refused(case.build(), batch.x, index=index, dim_size=3)
    _check_refused(case.build(), batch.x, ptr=ptr)
    if any(True for _ in case.build().parameters()):
        _check_refused(case.build().to("meta"), batch.x, index=batch.index, dim_size=3)


def fake_tensors(case: Case) -> None:
    """Under ``FakeTensorMode``: the shapes of the output and of its gradients."""
    batch, aggr = Batch.of(4, 3, 5), case.build()
    expected = _expected(case, batch)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        x, index = mode.from_tensor(batch.x), mode.from_tensor(batch.index)
        _check_shapes(aggr, x, index, expected)


def tracing(case: Case) -> None:
    """``make_fx`` of an output and its gradients, by real tensors."""
    _check_traced(case, "real", (4, 3, 5))


def tracing_fakes(case: Case) -> None:
    """So by fake tensors."""
    _check_traced(case, "fake", (4, 3, 5))


def tracing_symbols(case: Case) -> None:
    """So by symbols, for any number of nodes."""
    _check_traced(case, "symbolic", (6, 2, 7))


def functionalizing(case: Case) -> None:
    """``make_fx`` of ``torch.func.functionalize``, without gradients."""
    aggr, batch = case.build().requires_grad_(False), Batch.of(4, 3, 5)

    def pool(x: Tensor, index: Tensor) -> Tensor:
        return aggr(x, index, dim_size=3)

    with torch.no_grad():
        program = make_fx(torch.func.functionalize(pool))(batch.x, batch.index)
        actual = program(batch.x, batch.index)
    check_close(actual, pool(batch.x, batch.index), TOLERANCE, "the output")


def module_tracing(case: Case) -> None:
    """PyG's ``fx.Transformer`` on a model that holds the layer."""
    model, batch = _Model(case.build()), Batch.of(4, 3, 5)
    traced = Transformer(model).transform()
    expected = model(batch.x, batch.index)
    check_close(traced(batch.x, batch.index), expected, 0, "the output")


def _check_shapes(
    aggr: Aggregation, x: Tensor, index: Tensor, expected: torch.Size
) -> None:
    """The output has that shape, its gradients those of what they are of."""
    x = x.detach().requires_grad_()
    out = aggr(x, index, dim_size=3)
    if out.shape != expected or out.dtype != x.dtype:
        raise AssertionError(f"the output has shape {tuple(out.shape)}")
    _check_device(out, x.device)
    inputs = [x, *(p for p in aggr.parameters() if p.requires_grad)]
    found = torch.autograd.grad(out.sum(), inputs, allow_unused=True)
    for given, grad in zip(inputs, found, strict=True):
        if grad is not None:
            if grad.shape != given.shape:
                raise AssertionError(f"a gradient has shape {tuple(grad.shape)}")
            _check_device(grad, x.device)


def _check_meta(case: Case, batch: Batch) -> None:
    aggr, x, index = case.build().to("meta"), batch.x.to("meta"), batch.index.to("meta")
    _check_shapes(aggr, x, index, _expected(case, batch))


def _expected(case: Case, batch: Batch) -> torch.Size:
    out: Tensor = case.build()(batch.x, batch.index, dim_size=3)
    return out.shape


def _check_device(tensor: Tensor, device: torch.device) -> None:
    if tensor.device != device:
        raise AssertionError(f"a result is on {tensor.device}, not {device}")


def _check_refused(aggr: Aggregation, x: Tensor, **sets: Any) -> None:
    try:
        aggr(x, **sets)
    except (ValueError, RuntimeError) as error:
        if "meta" in str(error) and "cpu" in str(error):
            return
        raise AssertionError(f"the error names no two devices: {error}") from error
    raise AssertionError("tensors on two devices are accepted")


def _check_traced(case: Case, mode: str, sizes: tuple[int, ...]) -> None:
    """Traced on one batch, the program gives what the layer gives on another."""
    aggr = case.build()
    state = {**dict(aggr.named_parameters()), **dict(aggr.named_buffers())}
    names = [name for name, _ in aggr.named_parameters()]

    def run(state: dict[str, Tensor], x: Tensor, index: Tensor) -> tuple[Tensor, ...]:
        state = {n: _leaf(t) if n in names else t for n, t in state.items()}
        x = _leaf(x)
        out = functional_call(aggr, state, (x, index), {"dim_size": 3})
        weight = torch.linspace(0.5, 1.5, out.numel()).view(out.shape)
        inputs = [x, *(state[name] for name in names)]
        found = torch.autograd.grad(
            (out * weight).sum(), inputs, allow_unused=True, materialize_grads=True
        )
        return out.detach(), *found

    first, second = Batch.of(4, 3, 5), Batch.of(*sizes)
    given = {name: tensor.detach() for name, tensor in state.items()}
    program: Run = make_fx(run, tracing_mode=mode)(given, first.x, first.index)
    actual = dict(
        zip(("out", "x", *names), program(given, second.x, second.index), strict=True)
    )
    expected = gradients(aggr, second.x, lambda x: aggr(x, second.index, dim_size=3))
    check_same(actual, expected, TOLERANCE, "traced")


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_()


class _Model(torch.nn.Module):
    def __init__(self, aggr: Aggregation) -> None:
        super().__init__()
        self.aggr = aggr

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        return self.aggr(x.relu(), index)
