import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from torch_geometric_uotp import holder
from torch_geometric_uotp.holder import CoefficientHolder, fixed_dtype, in_rows, in_type

EXACT = torch.tensor([1 / 3], dtype=torch.float64)


class Tables(CoefficientHolder):
    def __init__(self) -> None:
        super().__init__()
        self.learned = Parameter(torch.empty(1))
        self.register_buffer("fixed", torch.empty(1, dtype=fixed_dtype()))
        self.register_buffer("none", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        with torch.no_grad():
            self.learned.copy_(EXACT)
            self.fixed.copy_(EXACT)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_modules_keep_their_digits(dtype: torch.dtype) -> None:
    tables = Tables()
    for module in (tables.to(dtype), tables.double(), tables.float()):
        assert module.fixed.equal(EXACT)
        assert module.learned.dtype in (torch.float32, torch.float64)
        torch.testing.assert_close(module.learned.double(), EXACT, atol=1e-8, rtol=0)
    assert tables.learned.dtype == torch.float32
    assert tables.double().learned.dtype == torch.float64
    assert tables.type(torch.float16).learned.dtype == torch.float64


def test_tables_follow_to_a_device() -> None:
    tables = Tables().to("meta", torch.half)
    assert tables.learned.is_meta
    assert tables.fixed.is_meta
    assert tables.fixed.dtype == torch.float64
    tables = tables.to_empty(device="cpu")
    tables.reset_parameters()
    assert tables.fixed.equal(EXACT)
    assert tables.share_memory().fixed.is_shared()


def test_a_device_without_double_precision_has_single(monkeypatch) -> None:
    monkeypatch.setattr(holder, "WITHOUT_DOUBLE", ("meta",))

    def refusing(table: Tensor) -> Tensor:
        if table.dtype == torch.float64:
            raise TypeError("no float64 here")
        return table.to("meta")

    for convert in (refusing, lambda table: refusing(table).half()):
        tables = Tables()._apply(convert)
        assert tables.fixed.is_meta
        assert tables.fixed.dtype == torch.float32
        assert tables.to_empty(device="cpu").fixed.dtype == torch.float64
    with torch.device("meta"):
        assert Tables().fixed.dtype == torch.float32


def test_a_conversion_that_fails_leaves_the_tables() -> None:
    def failing(table: Tensor) -> Tensor:
        raise TypeError("no")

    tables = Tables()
    with pytest.raises(TypeError, match="no"):
        tables._apply(failing)
    assert tables.fixed.equal(EXACT)


def test_tables_in_a_type_and_in_rows() -> None:
    assert in_type(EXACT, torch.float64) is EXACT
    assert in_type(EXACT, torch.float32).dtype == torch.float32
    assert in_rows(EXACT, torch.float32).shape == (1, 1)
    assert in_rows(EXACT.expand(3, 1), torch.float64).shape == (3, 1)
