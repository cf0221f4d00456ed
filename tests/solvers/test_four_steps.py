"""Where four steps are enough, as docs/convergence.md tells it."""

import pytest
import torch

from torch_geometric_uotp import UOTPAggregation


@pytest.mark.parametrize(
    ("alphas", "error"),
    [((1.0, 1.0, 9.0), 1e-6), ((1.0, 1.0, 1.0), 1e-6), ((0.1, 0.1, 0.9), 1e-1)],
)
def test_error_and_residual_of_four_steps(alphas: tuple[float, ...], error) -> None:
    x = torch.randn(120, 64, dtype=torch.double)
    given = dict(zip(("alpha0", "alpha1", "alpha2"), alphas, strict=True))
    solution = UOTPAggregation(64, **given).double().solve(x)
    exact = UOTPAggregation(64, tol=1e-11, **given).double()(x)
    off = (solution.pooled - exact).abs().max().item()
    assert off < error
    assert off < 2 * solution.residual.item()
