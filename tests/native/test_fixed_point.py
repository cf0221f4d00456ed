"""The native fixed point: torch's rules, and what its results depend on.

Its values and gradients are held to long unrolling in tests/solvers.
"""

from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from torch_geometric_uotp import ops
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.problem import Problem
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.solvers import FixedPoint

pytestmark = pytest.mark.skipif(not ops.AVAILABLE, reason="the library is not built")

# 64 channels: rows end with a whole vector; 5: with a part of one.
SHAPES = [((300, 1, 0, 70), 64, 1), ((9, 300), 5, 2), ((40_000, 30), 24, 1)]


def problem(sizes, channels: int, heads: int, alpha0: float, own: bool) -> Problem:
    """A problem whose coefficients are shared, or of each set."""
    counts = torch.tensor(sizes)
    index = torch.arange(counts.numel()).repeat_interleave(counts)
    index = index[torch.randperm(index.numel())]
    scores = torch.randn(index.numel(), heads, channels, dtype=torch.double)
    table = Coefficients.from_alphas(alpha0, 1.0, 4.0)
    shape = (1, counts.numel(), heads) if own else (1, heads)
    tables = (table.t, table.r_p, table.r_q)
    rows = [x.flatten().expand(shape).clone().requires_grad_() for x in tables]
    return Problem.create(
        scores.requires_grad_(),
        Segments.from_index(index, counts.numel()),
        Coefficients(*rows),
    )


def solve(given: Problem) -> list[Tensor]:
    rows = given.coefficients
    pooled = FixedPoint(1e-11)(given).pooled
    weight = torch.linspace(-1, 1, pooled.numel(), dtype=torch.double)
    inputs = [given.scores, rows.t, rows.r_p, rows.r_q]
    loss = (pooled.flatten() * weight).sum()
    return [pooled.detach(), *torch.autograd.grad(loss, inputs)]


@pytest.mark.parametrize("own", [False, True], ids=["shared", "per set"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_portable_path(shape, own: bool) -> None:
    given = problem(*shape, alpha0=0.3, own=own)
    native = solve(given)
    with patch.object(ops, "AVAILABLE", False):
        portable = solve(given)
    for mine, other in zip(native, portable, strict=True):
        size = other.abs().max().item()
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-9 * size)


def test_same_bits_for_any_threads_and_any_company() -> None:
    large = torch.randn(40_000, 1, 24, dtype=torch.double)
    small = torch.randn(9, 1, 24, dtype=torch.double)
    rows = [torch.full((1, 1), value).double() for value in (5.0, 0.8, 0.9)]

    def run(x: Tensor, ptr: list[int], threads: int) -> tuple[Tensor, Tensor]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        x = x.clone().requires_grad_()
        segments = Segments.from_ptr(torch.tensor(ptr), x.size(0))
        given = Problem.create(x, segments, Coefficients(*rows))
        pooled = FixedPoint(1e-8)(given).pooled
        (grad,) = torch.autograd.grad(pooled.square().sum(), x)
        torch.set_num_threads(before)
        return pooled.detach(), grad

    one, two = (run(torch.cat([small, large]), [0, 9, 40_009], k) for k in (1, 2))
    alone = run(large, [0, 40_000], 2)
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert torch.equal(two[0][1:], alone[0])
    assert torch.equal(two[1][9:], alone[1])


def arguments(nodes: int, ptr: list[int]) -> list:
    rows = [torch.full((1, 2), value).double() for value in (2.0, 0.8, 0.9)]
    x = torch.randn(nodes, 2, 3, dtype=torch.double)
    return [x, None, torch.tensor(ptr), None, *rows, None, None, 1e-8, 100]


def test_operators_keep_torchs_rules() -> None:
    given = arguments(9, [0, 3, 3, 4, 9])
    forward = torch.ops.uotp.fixed_point_forward.default
    backward = torch.ops.uotp.fixed_point_backward.default
    torch.library.opcheck(forward, given)
    pooled, b, _, _ = forward(*given)
    torch.library.opcheck(backward, [torch.randn_like(pooled), *given, pooled, b])


def test_one_bad_set_leaves_the_others_alone() -> None:
    given = arguments(30, [0, 10, 20, 30])
    forward = torch.ops.uotp.fixed_point_forward
    good = forward(*given)[0]
    given[0][12, 0, 1] = torch.nan
    assert torch.equal(forward(*given)[0][[0, 2]], good[[0, 2]])


def test_scores_beyond_all_reach_come_back() -> None:
    """No annealing starts where t times the range of the scores is infinite."""
    x = torch.randn(8, 1, 3, dtype=torch.double) * 1e307
    table = Coefficients.from_alphas(0.01, 1.0, 1.0)
    segments = Segments.from_index(torch.zeros(8, dtype=torch.long), 1)
    assert FixedPoint()(Problem.create(x, segments, table)).pooled.shape == (1, 3)


@pytest.mark.parametrize("ptr", [[0, 6], [1, 5], [0, 4, 3, 5]])
def test_bad_layout_is_refused_before_memory_is_read(ptr: list[int]) -> None:
    with pytest.raises(RuntimeError, match="ptr must start at 0"):
        torch.ops.uotp.fixed_point_forward(*arguments(5, ptr))


def test_single_precision_is_refused() -> None:
    given = [
        a.float() if isinstance(a, Tensor) and a.is_floating_point() else a
        for a in arguments(5, [0, 5])
    ]
    with pytest.raises(RuntimeError, match="x has another dtype"):
        torch.ops.uotp.fixed_point_forward(*given)
