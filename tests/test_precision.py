import pytest
import torch
from torch.nn import Linear

from torch_geometric_uotp.precision import Promoting, applied, promote


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


def test_what_is_narrowed_has_a_gradient_of_its_own_type() -> None:
    x = torch.ones(2, dtype=torch.double, requires_grad=True)
    y = promote(x, torch.float32)
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [1, 1]


class Doubling(Promoting):
    """Returns the type it is given."""

    def forward(self, x: torch.Tensor, factor: int = 2) -> torch.Tensor:
        return factor * x


@pytest.mark.parametrize("of_nodes", [torch.half, torch.float32, torch.double])
@pytest.mark.parametrize("of_weights", [torch.bfloat16, torch.float32, torch.double])
def test_a_module_is_called_in_the_type_of_its_weights(of_nodes, of_weights) -> None:
    module, x = Linear(3, 1).to(of_weights), torch.randn(5, 3).to(of_nodes)
    found = applied(module, x, torch.float32)
    assert found.dtype == torch.float32
    assert found.equal(module(x.to(of_weights)).float())


def test_a_module_that_promotes_is_called_in_the_type_asked_for() -> None:
    x = torch.randn(5, 3).half()
    assert applied(Doubling(), x, torch.float32, 3).equal(3 * x.float())
