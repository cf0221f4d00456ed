"""The clauses that no known aggregator breaks do notice a layer that breaks them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter
from torch_geometric.nn.aggr import Aggregation, SumAggregation

from tests.conformance.case import Case
from tests.conformance.clauses import CLAUSES


class Bothered(SumAggregation):
    """Counts twice what it is given with both index and ptr."""

    def forward(self, x, index=None, ptr=None, dim_size=None, dim=-2):
        out = super().forward(x, index, ptr, dim_size, dim)
        return out * 2 if ptr is not None and index is not None else out


class Doubling(SumAggregation):
    """Counts twice what it is given without index and ptr."""

    def __call__(self, x, index=None, ptr=None, dim_size=None, dim=-2, **kwargs):
        out = super().__call__(x, index, ptr, dim_size, dim, **kwargs)
        return out * 2 if ptr is None and index is None else out


class Coarse(SumAggregation):
    """Computes float32 in bfloat16."""

    def forward(self, x, index=None, ptr=None, dim_size=None, dim=-2):
        low = x.bfloat16() if x.dtype == torch.float32 else x
        return super().forward(low, index, ptr, dim_size, dim).to(x.dtype)


class Overflowing(SumAggregation):
    """Leaves the range of numbers under autocast."""

    def forward(self, x, index=None, ptr=None, dim_size=None, dim=-2):
        factor = torch.inf if torch.is_autocast_enabled("cpu") else 1
        return super().forward(x * factor, index, ptr, dim_size, dim)


class Forgetful(SumAggregation):
    """Has a weight that neither copies nor states carry."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = Parameter(torch.ones(()))
        self.history: list[Tensor] = [self.weight]

    def forward(self, x, index=None, ptr=None, dim_size=None, dim=-2):
        return super().forward(x, index, ptr, dim_size, dim) * self.history[0]

    def __getstate__(self) -> dict:
        return self.__dict__ | {"history": [torch.ones(())]}

    def __deepcopy__(self, memo: dict) -> "Forgetful":
        return self

    def load_state_dict(self, state_dict, strict=True, assign=False):
        return None


class Transformed(SumAggregation):
    """Counts twice under a transform."""

    def forward(self, x, index=None, ptr=None, dim_size=None, dim=-2):
        out = super().forward(x, index, ptr, dim_size, dim)
        return out * 2 if torch._C._are_functorch_transforms_active() else out


class Primal(SumAggregation):
    """Loses half of what forward mode carries."""

    def forward(self, x, index=None, ptr=None, dim_size=None, dim=-2):
        half = (x + forward_ad.unpack_dual(x).primal) / 2
        return super().forward(half, index, ptr, dim_size, dim)


class Clinging(SumAggregation):
    """Has a parameter that it does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = Parameter(torch.ones(()))


class Particular(SumAggregation):
    """Wants to see a tensor."""

    def __call__(self, x, index=None, ptr=None, dim_size=None, dim=-2, **kwargs):
        assert isinstance(x, Tensor)
        return super().__call__(x, index, ptr, dim_size, dim, **kwargs)


BROKEN: list[tuple[str, Callable[[], Aggregation]]] = [
    ("ptr_and_index", Bothered),
    ("one_set", Doubling),
    ("single_precision", Coarse),
    ("autocast", Overflowing),
    ("transforming", Transformed),
    ("forward_mode", Primal),
    ("deep_copying", Forgetful),
    ("pickling", Forgetful),
    ("state_dict", Forgetful),
    ("all_gradients", Clinging),
    ("live_parameters", Clinging),
    ("other_device", SumAggregation),
    ("module_tracing", Particular),
]


@pytest.mark.parametrize(("clause", "layer"), BROKEN, ids=[name for name, _ in BROKEN])
def test_clause_notices(clause: str, layer: Callable[[], Aggregation]) -> None:
    with pytest.raises(AssertionError):
        CLAUSES[clause](Case(layer.__name__, lambda channels: layer()))


# It checks no index, no ptr and no device, and with ptr has no second derivative.
NOT_KEPT_BY_SUM = {"bad_index", "bad_ptr", "other_device", "second_derivative_ptr"}


@pytest.mark.parametrize(
    "clause", [name for name in CLAUSES if name not in NOT_KEPT_BY_SUM]
)
def test_sum_keeps_clause(clause: str) -> None:
    CLAUSES[clause](Case("sum", lambda channels: SumAggregation()))
