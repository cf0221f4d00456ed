import torch

from benchmarks.dense import DenseSinkhorn, PublishedSinkhorn
from torch_geometric_uotp import UOTPAggregation

INDEX = torch.tensor([0, 0, 0, 1, 2, 2, 2, 2])


def test_the_padded_recursion_is_that_of_the_library() -> None:
    x = torch.randn(8, 5, requires_grad=True)
    direction = torch.randn(3, 5)
    results = []
    for readout in (DenseSinkhorn(), UOTPAggregation(5)):
        out = readout(x, INDEX, dim_size=3)
        results.append((out, *torch.autograd.grad(out, x, direction)))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-6)


def test_the_published_recursion_is_not() -> None:
    """It is another problem's solution, and has a gradient in every step."""
    x = torch.randn(8, 5)
    published = PublishedSinkhorn()
    out = published(x, INDEX, dim_size=3)
    out.sum().backward()
    assert out.shape == (3, 5)
    assert published.raw_alphas.grad is not None
    assert published.raw_alphas.grad.abs().min() > 0
    stated = UOTPAggregation(5, alpha0=0.69, alpha1=0.69, alpha2=0.69, normalize=False)
    assert (out - stated(x, INDEX)).abs().max() > 0.1
