import pytest
import torch

from torch_geometric_uotp.precision import promote


def test_gradients_beyond_the_range_saturate() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.half, requires_grad=True)
    y = promote(x, torch.float32)
    assert y.dtype == torch.float32
    (gradient,) = torch.autograd.grad(y, x, torch.tensor([1e6, -torch.inf, 3.0]))
    assert gradient.tolist() == [65504, -65504, 3]


def test_gradients_that_are_no_numbers_stay_so() -> None:
    x = torch.tensor([1.0], dtype=torch.half, requires_grad=True)
    y = promote(x, torch.float32)
    assert torch.autograd.grad(y, x, torch.tensor([torch.nan]))[0].isnan().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tensor_of_that_type_is_left_alone(dtype: torch.dtype) -> None:
    x = torch.ones(2, dtype=dtype)
    assert promote(x, dtype) is x
