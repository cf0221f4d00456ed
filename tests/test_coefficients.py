import math

import pytest
import torch

from torch_geometric_uotp.bounded import spread
from torch_geometric_uotp.coefficients import Coefficients

INF = math.inf


@pytest.mark.parametrize(
    ("alphas", "t", "r_p", "r_q"),
    [
        ((2.0, 2.0, 6.0), 0.5, 0.5, 0.75),
        ((INF, 0.0, INF), 0.0, 0.0, 1.0),
        ((INF, 5.0, 0.0), 0.0, 0.0, 0.0),
        ((1.0, INF, 1e30), 1.0, 1.0, 1.0),
        ((0.0, 0.0, INF), INF, 0.0, 1.0),
        ((0.0, 2.0, 0.0), INF, 1.0, 0.0),
    ],
)
def test_golden_conversions(alphas, t: float, r_p: float, r_q: float) -> None:
    description = Coefficients.from_alphas(*alphas).describe()
    assert description["t"].item() == t
    assert description["r_p"].item() == r_p
    assert description["r_q"].item() == r_q
    assert description["alpha0"].item() == alphas[0]


def test_description_inverts_the_conversion() -> None:
    alphas = 10 ** (6 * torch.rand(3, 4, 2, dtype=torch.double) - 3)
    description = Coefficients.from_alphas(*alphas, rho=2.0).describe()
    for name, alpha in zip(("alpha0", "alpha1", "alpha2"), alphas, strict=True):
        torch.testing.assert_close(description[name], alpha, rtol=1e-9, atol=0)
    assert description["rho"].item() == 2.0


def test_a_row_is_that_of_its_step_or_the_last() -> None:
    coefficients = Coefficients.from_alphas(torch.tensor([[1.0], [0.5]]), 1.0, 1.0)
    assert [coefficients.step(k).t.item() for k in range(4)] == [1, 2, 2, 2]


def test_expand_and_repeat() -> None:
    coefficients = Coefficients.from_alphas(torch.tensor([[1.0, 0.5]]), 1.0, 3.0, 2.0)
    tables = coefficients.expand(3, 2).repeat_heads(2)
    assert tables.t.tolist() == [[1, 2, 1, 2]] * 3
    assert tables.r_q[2].tolist() == pytest.approx([0.75, 6 / 7, 0.75, 6 / 7])
    assert tables.rho is not None
    assert tables.rho.shape == (3, 4)


@pytest.mark.parametrize("size", [0, 1, 2, 5])
def test_spread_repeats_a_row(size: int) -> None:
    row = torch.tensor([1.0, 3.0, 2.0], requires_grad=True)
    table = spread(row, size)
    assert table.tolist() == [[1, 3, 2]] * size
    (gradient,) = torch.autograd.grad(table.sum(), row)
    assert gradient.tolist() == [size] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 1.0, 1.0), "'alpha0' .*got -1.0"),
        ((1.0, math.nan, 1.0), "'alpha1' .*got nan"),
        ((1.0, 1.0, torch.ones(1, 1, 1)), "'alpha2' .*steps, heads"),
        ((1.0, 1.0, 1.0, 0.0), "'rho' .*positive.*got 0"),
        ((1.0, 1.0, 1.0, INF), "'rho' .*finite.*got inf"),
        ((torch.tensor([[0.0], [1.0]]), 1.0, 1.0), "'alpha0' must be 0 in all"),
        ((torch.ones(3), torch.ones(2), 1.0), "number of heads.*'alpha1': 2,"),
        ((torch.ones(3, 1), torch.ones(2, 1), 1.0), "number of steps.*'alpha0': 3,"),
    ],
)
def test_bad_values_are_named(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Coefficients.from_alphas(*arguments)


def test_tables_of_another_size_are_named() -> None:
    coefficients = Coefficients.from_alphas(torch.ones(3), 1.0, 1.0)
    with pytest.raises(ValueError, match=r"4 steps and 2 heads, or 1 .*\(1, 3\)"):
        coefficients.expand(4, 2)
