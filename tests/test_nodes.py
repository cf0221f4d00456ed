import pytest
import torch

from torch_geometric_uotp.nodes import nodes_first


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
