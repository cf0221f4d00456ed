import pytest
import torch

from torch_geometric_uotp import (
    HierarchicalUOTPAggregation,
    ROTPAggregation,
    UOTPAggregation,
    UOTPPool2d,
)
from torch_geometric_uotp.nodes import nodes_first, unshared


def test_moves_the_nodes_to_the_front() -> None:
    x = torch.randn(2, 5, 3)
    assert nodes_first(x, -2, 3).equal(x.movedim(1, 0))
    assert nodes_first(x, 0, 3).equal(x)


@pytest.mark.parametrize(
    ("x", "dim", "match"),
    [
        (torch.zeros(5, 3, dtype=torch.long), 0, "floating-point"),
        (torch.zeros(5, 4), 0, "3 channels in its last axis"),
        (torch.zeros(5, 3), -1, "axis of the channels"),
        (torch.zeros(2, 5, 3), 2, "axis of the channels"),
    ],
)
def test_says_what_is_wrong(x: torch.Tensor, dim: int, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        nodes_first(x, dim, 3)


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (UOTPAggregation(4), torch.randn(5, 4)),
        (UOTPAggregation(4, heads=2), torch.randn(3, 5, 4)),
        (UOTPAggregation.like("mean", 4), torch.randn(5, 4)),
        (ROTPAggregation(4), torch.randn(5, 4)),
        (HierarchicalUOTPAggregation(4, ["mean", "max"]), torch.randn(5, 4)),
        (UOTPPool2d(4), torch.randn(2, 4, 3, 3)),
    ],
)
def test_what_layers_return_may_be_changed_in_place(module, x: torch.Tensor) -> None:
    pooled = module(x)
    assert pooled._base is None
    called = []
    pooled.register_hook(called.append)
    pooled += 1
    pooled.sum().backward()
    assert called
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_what_is_no_view_is_not_copied() -> None:
    x = torch.randn(3, requires_grad=True) * 2
    assert unshared(x) is x
    view = x[:2]
    assert unshared(view)._base is None
    assert unshared(view).equal(view)
    constant = torch.randn(3)[:2]
    assert unshared(constant) is constant
