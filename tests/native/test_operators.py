"""The native solvers against the portable ones, which other tests hold to oracles."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from torch_geometric_uotp import ops
from torch_geometric_uotp.bounded import bounded
from torch_geometric_uotp.operators import Operator
from torch_geometric_uotp.projection import GAIN, sharpest
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.solvers import badmm, sinkhorn

pytestmark = pytest.mark.skipif(not ops.AVAILABLE, reason="the library is not built")

Arguments = list[Tensor | int | float | bool | None]


@dataclass(frozen=True)
class Native:
    """A native operator, its options behind those of all, and its portable twin."""

    operator: Operator
    portable: Callable[..., Tensor]
    options: tuple[bool, ...] = ()

    def __call__(self, *arguments) -> Tensor:
        return self.operator.forward(*arguments)[0]

    def arguments(self, x: Tensor, ptr: list[int], steps: int = 4, **given):
        """Of sets of some nodes, everything else being plain."""
        values = {"t": 1.0, "r_p": 0.5, "r_q": 0.9, "rho": 2.0}
        tables = {n: torch.full((1, x.size(1)), v) for n, v in values.items()}
        named = {**tables, **given, "x": x, "ptr": torch.tensor(ptr)}
        tensors = [named.get(name) for name in self.operator.tensors]
        return [*tensors, steps, 0.0, 0.0, *self.options]


SOLVERS = {
    "sinkhorn": Native(ops.SINKHORN, sinkhorn._pool_portably),
    "badmm-e": Native(ops.BADMM, badmm._pool_portably, (False,)),
    "badmm-q": Native(ops.BADMM, badmm._pool_portably, (True,)),
}
EACH = pytest.mark.parametrize("native", SOLVERS.values(), ids=SOLVERS)
SIZES = [(3, 0, 1, 7, 2), (70, 1, 300), (0, 0), (1500,)]
# What float32 may lose of a gradient, relative to the largest of its kind or,
# where terms cancel, to the gradient that came in.
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5}


def draw(
    native: Native,
    seed: int,
    scale: float = 1.0,
    sizes: tuple[int, ...] | None = None,
):
    """Random arguments of the operator, in float64, and the gradient it receives."""
    torch.manual_seed(seed)
    counts = torch.tensor(SIZES[seed % 4] if sizes is None else sizes)
    heads, channels = 1 + seed % 3, (1, 3, 16, 40)[seed % 4]
    steps, sets, nodes = 1 + seed % 5, counts.numel(), int(counts.sum())
    rows = 1 if seed % 2 else steps
    shape = (rows, sets, heads) if seed % 3 == 0 else (rows, heads)
    x = scale * torch.randn(nodes, heads, channels) + seed % 4
    ptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    order = torch.randperm(nodes) if seed % 2 else None
    named = {
        "x": x,
        "values": torch.randn_like(x) if seed % 4 == 1 else None,
        "log_p0": torch.randn(heads, channels).log_softmax(-1) if seed % 3 else None,
        "log_q0": normalised(torch.randn(nodes, heads), ptr, order)
        if seed % 5
        else None,
        **tables(shape, limits=seed % 7 == 0, stored=seed % 4 == 3),
    }
    doubles = {n: None if f is None else f.double() for n, f in named.items()}
    doubles |= {"ptr": ptr, "order": order}
    numbers = [GAIN, sharpest()] if seed % 4 == 3 else [0.0, 0.0]
    tensors = [doubles[name] for name in native.operator.tensors]
    grad = torch.randn(sets, heads, channels, dtype=torch.double)
    return [*tensors, steps, *numbers, *native.options], grad


def tables(shape: tuple[int, ...], limits: bool, stored: bool) -> dict[str, Tensor]:
    """Coefficients; as a layer stores them, some lie beyond the ends."""
    t, r_p, r_q = 2 * torch.rand(shape), torch.rand(shape), torch.rand(shape)
    rho = 0.3 + 3 * torch.rand(shape)
    if limits:
        t, r_p, r_q = torch.zeros(shape), torch.ones(shape), torch.zeros(shape)
    if stored:
        points = t / (1 + t), r_p, r_q
        t, r_p, r_q = ((1.4 * point - 0.2) / GAIN for point in points)
        rho = (rho / (1 + rho)) / GAIN
    return {"t": t, "r_p": r_p, "r_q": r_q, "rho": rho}


def normalised(log_q0: Tensor, ptr: Tensor, order: Tensor | None) -> Tensor:
    segments = Segments.from_places(ptr, order, log_q0.size(0))
    log_q0 = log_q0.double()
    return log_q0 - segments.gather(segments.logsumexp(log_q0))


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


@EACH
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("scale", [0.3, 5.0, 100.0])
@pytest.mark.parametrize("seed", range(24))
def test_equals_the_portable_path(
    native: Native, seed: int, scale: float, dtype: torch.dtype
) -> None:
    arguments, grad = draw(native, seed, scale)
    arguments = cast(arguments, dtype)
    exact, expected = gradients(native.portable, cast(arguments, torch.float64), grad)
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


@EACH
@pytest.mark.parametrize("seed", range(24))
def test_double_precision_to_the_twelfth_digit(native: Native, seed: int) -> None:
    arguments, grad = draw(native, seed, (0.3, 5.0, 100.0)[seed // 8])
    arguments = cast(arguments, torch.float64)
    exact, expected = gradients(native.portable, arguments, grad)
    pooled, found = gradients(native, arguments, grad)
    names = native.operator.tensors
    named = dict(zip(names, arguments, strict=False))
    size = max(1.0, largest(named["x"]), largest(named["values"]))
    torch.testing.assert_close(pooled, exact, rtol=1e-12, atol=1e-12 * size)
    # What the terms of a coefficient's gradient, which cancel, may add up to: the
    # gradient that came in, times a spread of the values and one of the exponents,
    # of which t is at most 2.
    exponents = max(1.0, 4 * largest(named["x"]), largest(named["log_q0"]))
    gain = max(1.0, arguments[len(names) + 1])
    terms = grad.abs().sum().item() * 2 * size * exponents * gain
    moving = [name for name in names if getattr(named[name], "requires_grad", False)]
    for name, mine, other in zip(moving, found, expected, strict=True):
        bound = terms if name in ops.TABLES else max(1.0, largest(other))
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-12 * bound)


@EACH
def test_gradients_and_their_gradients(native: Native) -> None:
    arguments, _ = draw(native, 10, sizes=(3, 0, 1, 4))
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


@EACH
@pytest.mark.parametrize("seed", range(6))
def test_operators_keep_torchs_rules(native: Native, seed: int) -> None:
    arguments, grad = draw(native, seed, sizes=(3, 0, 1, 7))
    name = native.operator.name
    forward = getattr(torch.ops.uotp, f"{name}_forward").default
    torch.library.opcheck(forward, tuple(cast(arguments, torch.float64)))
    fixed = cast(arguments, torch.float64, grad=False)
    outputs = forward(*fixed)
    kept = [outputs[i] for i in native.operator.kept]
    backward = getattr(torch.ops.uotp, f"{name}_backward").default
    torch.library.opcheck(backward, (grad, *fixed, *kept))


@EACH
@pytest.mark.parametrize("shape", [(40_000, 1, 24), (300, 2, 512), (6000, 1, 512)])
def test_same_bits_for_any_threads_and_any_company(
    native: Native, shape: tuple[int, ...]
) -> None:
    small = torch.randn(9, *shape[1:])
    large = torch.randn(shape)

    def run(x: Tensor, ptr: list[int], threads: int):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        arguments = native.arguments(x.clone().requires_grad_(), ptr)
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


@EACH
@pytest.mark.parametrize("shape", [(1100, 1, 512), (5, 1, 3000)])
def test_sets_too_large_to_keep_are_walked(
    native: Native, shape: tuple[int, ...]
) -> None:
    x, grad = torch.randn(shape), torch.randn(1, *shape[1:])
    found = gradients(native, native.arguments(x.requires_grad_(), [0, len(x)]), grad)
    wide = native.arguments(x.detach().double().requires_grad_(), [0, len(x)])
    wide = cast(wide, torch.float64)
    exact = gradients(native.portable, wide, grad.double())
    torch.testing.assert_close(found[0].double(), exact[0], rtol=1e-5, atol=1e-5)
    scale = exact[1][0].abs().max()
    assert (found[1][0].double() - exact[1][0]).abs().max() < 1e-5 * scale


@EACH
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_read_and_written_directly(
    native: Native, dtype: torch.dtype
) -> None:
    x = torch.randn(300, 1, 40).to(dtype)
    rows = {name: 0.1 + torch.rand(4, 1) for name in ("t", "r_p", "r_q", "rho")}
    grad = torch.randn(2, 1, 40)

    def run(x: Tensor):
        x = x.detach().requires_grad_()
        return gradients(native, native.arguments(x, [0, 100, 300], **rows), grad)

    pooled, (found,) = run(x)
    exact, (expected,) = run(x.float())
    assert torch.equal(pooled, exact)
    assert torch.equal(found, expected.to(dtype))


@EACH
def test_one_bad_set_leaves_the_others_alone(native: Native) -> None:
    x = torch.randn(30, 1, 8)
    good = native(*native.arguments(x, [0, 10, 20, 30]))
    x[12, 0, 3] = torch.nan
    bad = native(*native.arguments(x, [0, 10, 20, 30]))
    assert torch.equal(bad[[0, 2]], good[[0, 2]])
    assert bad[1].isnan().any()


@EACH
def test_bad_layout_is_refused_before_memory_is_read(native: Native) -> None:
    x = torch.randn(5, 1, 2)
    for ptr in ([0, 6], [1, 5], [0, 4, 3, 5]):
        with pytest.raises(RuntimeError, match="ptr must start at 0"):
            native(*native.arguments(x, ptr))
    places = torch.tensor([0, 1, 2, 3, 5])
    with pytest.raises(RuntimeError, match="order must name nodes"):
        native(*native.arguments(x, [0, 5], order=places))


@EACH
def test_nothing_of_the_input_s_size_is_kept(native: Native) -> None:
    x = torch.randn(5000, 1, 64, requires_grad=True)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda t: t):
        native.operator(*native.arguments(x, [0, 5000]))
    numbers = sum(t.numel() for t in kept if t is not None and t is not x)
    assert numbers <= 4 * (5000 + 64)


@EACH
@pytest.mark.parametrize("steps", [1, 64])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_few_and_many_steps_stay_finite(
    native: Native, steps: int, scale: float
) -> None:
    x = (scale * torch.randn(40, 2, 9)).requires_grad_()
    arguments = native.arguments(x, [0, 39, 40], steps=steps)
    pooled, (grad,) = gradients(native, arguments, torch.ones(2, 2, 9))
    assert pooled.isfinite().all()
    assert grad.isfinite().all()
    assert torch.equal(pooled[1], x[39])


def close_to_double(native: Native, arguments: Arguments, grad: Tensor) -> None:
    """Values and gradients in float32, as the portable path has them in float64.

    But for what potentials of the size of the scores lose, and cancelling terms.
    """
    reach = 2e-5 * max(1.0, float(arguments[0].abs().max()))
    found = gradients(native, cast(arguments, torch.float32), grad.float())
    exact = gradients(native.portable, cast(arguments, torch.double), grad.double())
    torch.testing.assert_close(found[0].double(), exact[0], rtol=1e-5, atol=1e-5)
    for one, other in zip(found[1], exact[1], strict=True):
        largest = float(torch.stack([other.abs().max(), grad.abs().max()]).max())
        torch.testing.assert_close(one.double(), other, rtol=0, atol=reach * largest)


@pytest.mark.parametrize("r_p", [0.9, 0.99, 1.0])
def test_channels_too_light_to_multiply_with_leave_the_scaling_form(r_p) -> None:
    """Within the range of the exponents potentials may lie e^110 apart."""
    native = SOLVERS["sinkhorn"]
    x = torch.stack([torch.linspace(10, 56, 12), torch.rand(12) - 56], 1).unsqueeze(1)
    given = {"r_p": torch.full((1, 1), r_p), "r_q": torch.full((1, 1), 0.1)}
    arguments = native.arguments(x, [0, 12], steps=2, **given)
    close_to_double(native, arguments, torch.randn(1, 1, 2))


@pytest.mark.parametrize("prior", [-30.0, -40.0, -70.0, -100.0, -140.0, -1e4, -1e30])
def test_nodes_too_light_to_multiply_with_leave_it_too(prior: float) -> None:
    native = SOLVERS["sinkhorn"]
    x = torch.rand(20, 1, 2) - 58
    x[:2, 0, 0] += 116
    x[:, 0, 1] = x[:, 0, 1].neg()
    log_q0 = torch.zeros(20, 1)
    log_q0[:2] = prior
    given = {"log_q0": log_q0.log_softmax(0), "r_q": torch.ones(1, 1)}
    arguments = native.arguments(x, [0, 20], steps=3, **given)
    close_to_double(native, arguments, torch.randn(1, 1, 2))


@EACH
@pytest.mark.parametrize("power", [-80, -50, 50, 80])
def test_gradients_are_as_exact_whatever_the_loss_is_multiplied_with(
    native: Native, power: int
) -> None:
    arguments = native.arguments(115 * torch.rand(50, 1, 4), [0, 50], steps=3)
    grad, unit = torch.randn(1, 1, 4), 2.0**power
    plain = gradients(native, cast(arguments, torch.float32), grad)[1]
    found = gradients(native, cast(arguments, torch.float32), unit * grad)[1]
    for one, other in zip(found, plain, strict=True):
        least = 1e-37 / unit if power < 0 else 1e-30
        # What all sets share has a gradient of limited size.
        expected = other if one.dim() == 3 else bounded(unit * other) / unit
        torch.testing.assert_close(one / unit, expected, rtol=1e-6, atol=least)


@EACH
@pytest.mark.parametrize("mask", [-1e4, -1e9, -1e30])
@pytest.mark.parametrize("place", [0, 19])
def test_a_node_that_is_all_but_left_out_spoils_no_gradient(
    native: Native, mask: float, place: int
) -> None:
    log_q0 = torch.randn(20, 1)
    log_q0[place] = mask
    given = {"log_q0": log_q0.log_softmax(0).clamp(min=-1e30)}
    arguments = native.arguments(torch.randn(20, 1, 4), [0, 20], **given)
    close_to_double(native, arguments, torch.randn(1, 1, 4))


@EACH
@pytest.mark.parametrize("common", [1e3, -1e5])
def test_what_all_scores_have_in_common_costs_no_places(
    native: Native, common: float
) -> None:
    """But for those that it takes of the scores themselves, and of the output."""
    x = common + torch.randn(200, 1, 4)
    arguments, grad = native.arguments(x, [0, 200]), torch.randn(1, 1, 4)
    found = gradients(native, cast(arguments, torch.float32), grad)[1]
    exact = gradients(native.portable, cast(arguments, torch.double), grad.double())[1]
    for one, other in zip(found, exact, strict=True):
        bound = 5e-6 * abs(common)
        torch.testing.assert_close(one.double(), other, rtol=0, atol=bound)


@pytest.mark.parametrize("far", [100.0, -100.0])
def test_scaling_starts_again_where_the_first_nodes_are_far_from_the_middle(
    far: float,
) -> None:
    """Within reach of the middle of all, they are not of the first nodes'."""
    native = SOLVERS["sinkhorn"]
    x = torch.randn(60, 1, 24)
    x[20:] += far
    arguments = native.arguments(x, [0, 60])
    pooled, _, _, centre = ops.SINKHORN.forward(*arguments)
    torch.testing.assert_close(
        pooled, native.portable(*arguments), rtol=1e-5, atol=1e-5
    )
    assert abs(float(centre) - far / 2) < 5
