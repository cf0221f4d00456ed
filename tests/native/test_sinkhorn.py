"""The native Sinkhorn against the portable one, which other tests hold to POT."""

import pytest
import torch
from torch import Tensor

from torch_geometric_uotp import ops
from torch_geometric_uotp.projection import GAIN, SHARPEST
from torch_geometric_uotp.solvers.sinkhorn import _pool_portably

pytestmark = pytest.mark.skipif(not ops.AVAILABLE, reason="the library is not built")

Arguments = list[Tensor | int | float | None]
SIZES = [(3, 0, 1, 7, 2), (70, 1, 300), (0, 0), (1500,)]
NAMES = ("x", "values", "t", "r_p", "r_q", "log_p0", "log_q0")
# What float32 may lose of a gradient, relative to the largest of its kind or,
# where terms cancel, to the gradient that came in.
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5}


def draw(seed: int, scale: float = 1.0, sizes: tuple[int, ...] | None = None):
    """Random arguments of the operator, in float64, and the gradient it receives."""
    torch.manual_seed(seed)
    counts = torch.tensor(SIZES[seed % 4] if sizes is None else sizes)
    heads, channels = 1 + seed % 3, (1, 3, 16, 40)[seed % 4]
    steps, sets, nodes = 1 + seed % 5, counts.numel(), int(counts.sum())
    rows = 1 if seed % 2 else steps
    shape = (rows, sets, heads) if seed % 3 == 0 else (rows, heads)
    x = scale * torch.randn(nodes, heads, channels) + seed % 4
    values = torch.randn_like(x) if seed % 4 == 1 else None
    ptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    order = torch.randperm(nodes) if seed % 2 else None
    log_p0 = torch.randn(heads, channels).double() if seed % 3 else None
    log_q0 = torch.randn(nodes, heads).double() if seed % 5 else None
    t, r_p, r_q = 2 * torch.rand(shape), torch.rand(shape), torch.rand(shape)
    if seed % 7 == 0:
        t, r_p, r_q = torch.zeros(shape), torch.ones(shape), torch.zeros(shape)
    floats = [x, values, t, r_p, r_q, log_p0, log_q0]
    x, values, *rest = (None if f is None else f.double() for f in floats)
    if rest[-2] is not None:
        rest[-2] = rest[-2].log_softmax(-1)
    if seed % 4 == 3:  # as a layer stores them, some of them beyond the ends
        *tables, log_p0, log_q0 = rest
        points = [tables[0] / (1 + tables[0]), *tables[1:]]
        stored = [(1.4 * point - 0.2) / GAIN for point in points]
        rest = [*stored, log_p0, log_q0]
    options = [steps, GAIN, SHARPEST] if seed % 4 == 3 else [steps, 0.0, 0.0]
    grad = torch.randn(sets, heads, channels, dtype=torch.double)
    return [x, values, ptr, order, *rest, *options], grad


def cast(arguments: Arguments, dtype: torch.dtype, grad: bool = True) -> Arguments:
    def one(a):
        floating = isinstance(a, Tensor) and a.is_floating_point()
        return a.detach().to(dtype).requires_grad_(grad) if floating else a

    return [one(a) for a in arguments]


def gradients(function, arguments: Arguments, grad: Tensor):
    inputs = [a for a in arguments if isinstance(a, Tensor) and a.requires_grad]
    pooled = function(*arguments)
    found = torch.autograd.grad(
        pooled, inputs, grad, allow_unused=True, materialize_grads=True
    )
    return pooled, found


def native(*arguments) -> Tensor:
    return torch.ops.uotp.sinkhorn_forward(*arguments)[0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("scale", [0.3, 5.0, 100.0])
@pytest.mark.parametrize("seed", range(24))
def test_equals_the_portable_path(seed: int, scale: float, dtype: torch.dtype) -> None:
    arguments, grad = draw(seed, scale)
    arguments = cast(arguments, dtype)
    exact, expected = gradients(_pool_portably, cast(arguments, torch.float64), grad)
    pooled, found = gradients(native, arguments, grad.to(dtype))
    close = TOLERANCE[dtype] * max(1.0, scale)
    torch.testing.assert_close(pooled.double(), exact, rtol=close, atol=close)
    # A sharp problem loses in float32 what its exponents lose.
    if dtype == torch.float64 or scale < 1:
        for mine, other in zip(found, expected, strict=True):
            size = max(1.0, other.abs().max().item() if other.numel() else 0.0)
            bound = 50 * close * size * max(1.0, scale)
            torch.testing.assert_close(mine.double(), other, rtol=0, atol=bound)


def largest(tensor: Tensor | None) -> float:
    return (
        tensor.detach().abs().max().item()
        if tensor is not None and tensor.numel()
        else 0.0
    )


@pytest.mark.parametrize("seed", range(24))
def test_double_precision_to_the_twelfth_digit(seed: int) -> None:
    arguments, grad = draw(seed, (0.3, 5.0, 100.0)[seed // 8])
    arguments = cast(arguments, torch.float64)
    exact, expected = gradients(_pool_portably, arguments, grad)
    pooled, found = gradients(native, arguments, grad)
    x, values = arguments[:2]
    size = max(1.0, largest(x), largest(values))
    torch.testing.assert_close(pooled, exact, rtol=1e-12, atol=1e-12 * size)
    # What the terms of a coefficient's gradient, which cancel, may add up to: the
    # gradient that came in, times a spread of the values and one of the exponents,
    # of which t is at most 2.
    exponents = max(1.0, 4 * largest(x), largest(arguments[8]))
    terms = grad.abs().sum().item() * 2 * size * exponents * max(1.0, arguments[-2])
    moving = [a for a in arguments if isinstance(a, Tensor) and a.requires_grad]
    for argument, mine, other in zip(moving, found, expected, strict=True):
        is_coefficient = any(argument is table for table in arguments[4:7])
        bound = terms if is_coefficient else max(1.0, largest(other))
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12 * bound)


def test_gradients_and_their_gradients() -> None:
    arguments, _ = draw(10, sizes=(3, 0, 1, 4))
    inputs = cast(arguments, torch.float64)

    def of_floats(*floats):
        rest = iter(floats)
        moving = (isinstance(a, Tensor) and a.requires_grad for a in inputs)
        return native(
            *(next(rest) if m else a for m, a in zip(moving, inputs, strict=True))
        )

    floats = [a for a in inputs if isinstance(a, Tensor) and a.requires_grad]
    assert torch.autograd.gradcheck(of_floats, floats)
    assert torch.autograd.gradgradcheck(of_floats, floats)


@pytest.mark.parametrize("seed", range(6))
def test_operators_keep_torchs_rules(seed: int) -> None:
    arguments, grad = draw(seed, sizes=(3, 0, 1, 7))
    forward = torch.ops.uotp.sinkhorn_forward.default
    torch.library.opcheck(forward, tuple(cast(arguments, torch.float64)))
    fixed = cast(arguments, torch.float64, grad=False)
    pooled, _, log_sums, centre = forward(*fixed)
    backward = torch.ops.uotp.sinkhorn_backward.default
    torch.library.opcheck(backward, (grad, *fixed, pooled, log_sums, centre))


@pytest.mark.parametrize("shape", [(40_000, 1, 24), (300, 2, 512)])
def test_same_bits_for_any_threads_and_any_company(shape: tuple[int, ...]) -> None:
    small = torch.randn(9, *shape[1:])
    large = torch.randn(shape)
    tables = [torch.full((1, shape[1]), value) for value in (1.0, 0.5, 0.9)]

    def run(x: Tensor, ptr: list[int], threads: int):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        x = x.clone().requires_grad_()
        arguments = [x, None, torch.tensor(ptr), None, *tables, None, None, 4, 0.0, 0.0]
        pooled, (grad,) = gradients(
            native, arguments, torch.ones(len(ptr) - 1, *shape[1:])
        )
        torch.set_num_threads(before)
        return pooled, grad

    n = shape[0]
    batch = [run(torch.cat([small, large]), [0, 9, 9 + n], k) for k in (1, 2)]
    alone = run(large, [0, n], 2)
    for pooled, grad in batch:
        assert torch.equal(pooled[1:], alone[0])
        assert torch.equal(grad[9:], alone[1])
    assert torch.equal(batch[0][0], batch[1][0])
    assert torch.equal(batch[0][1], batch[1][1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_read_and_written_directly(dtype: torch.dtype) -> None:
    x = torch.randn(300, 1, 40).to(dtype)
    rows = [torch.rand(4, 1), torch.rand(4, 1), torch.rand(4, 1)]
    rest = [None, torch.tensor([0, 100, 300]), None, *rows, None, None, 4, 0.0, 0.0]
    grad = torch.randn(2, 1, 40)
    pooled, (found,) = gradients(native, [x.requires_grad_(), *rest], grad)
    wide = x.detach().float().requires_grad_()
    exact, (expected,) = gradients(native, [wide, *rest], grad)
    assert torch.equal(pooled, exact)
    assert torch.equal(found, expected.to(dtype))


def test_one_bad_set_leaves_the_others_alone() -> None:
    x = torch.randn(30, 1, 8)
    tables = [torch.full((1, 1), 0.5)] * 3
    rest = [None, torch.tensor([0, 10, 20, 30]), None, *tables, None, None, 4, 0.0, 0.0]
    good = native(x, *rest)
    x[12, 0, 3] = torch.nan
    assert torch.equal(native(x, *rest)[[0, 2]], good[[0, 2]])


def test_bad_layout_is_refused_before_memory_is_read() -> None:
    tables = [torch.full((1, 1), 0.5)] * 3
    x = torch.randn(5, 1, 2)
    for ptr in ([0, 6], [1, 5], [0, 4, 3, 5]):
        with pytest.raises(RuntimeError, match="ptr must start at 0"):
            native(x, None, torch.tensor(ptr), None, *tables, None, None, 2, 0.0, 0.0)
    places = torch.tensor([0, 1, 2, 3, 5])
    with pytest.raises(RuntimeError, match="order must name nodes"):
        native(x, None, torch.tensor([0, 5]), places, *tables, None, None, 2, 0.0, 0.0)


def test_nothing_of_the_input_s_size_is_kept() -> None:
    x = torch.randn(5000, 1, 64, requires_grad=True)
    tables = [torch.full((1, 1), 0.5)] * 3
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda t: t):
        native(x, None, torch.tensor([0, 5000]), None, *tables, None, None, 4, 0.0, 0.0)
    numbers = sum(t.numel() for t in kept if t is not None and t is not x)
    assert numbers <= 4 * (5000 + 64)
