import numpy as np
import pytest

from torch_geometric_uotp.arguments import check_count


@pytest.mark.parametrize("value", [2, np.int64(3)])
def test_whole_numbers_pass(value) -> None:
    check_count("heads", value, least=2)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1, "at least 2 .got 1"),
        (2.0, "an integer .got 2.0"),
        ("2", "an integer .got '2'"),
    ],
)
def test_others_are_named(value, message: str) -> None:
    with pytest.raises(ValueError, match=f"'heads' must be {message}"):
        check_count("heads", value, least=2)
