r"""A weight of each head, learned or fixed."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from torch_geometric_uotp.holder import (
    CoefficientHolder,
    fixed_dtype,
    in_type,
    table_dtype,
    taken,
)
from torch_geometric_uotp.parametrization import check_finite_start
from torch_geometric_uotp.projection import GAIN, odds, project, sharpest


class FixedWeight(CoefficientHolder):
    r"""A weight of each head that does not learn, held as a buffer.

    A state of :class:`LearnedWeight` can be loaded, as
    :class:`~torch_geometric_uotp.parametrization.FixedCoefficients` says.

    Args:
        start (torch.Tensor): Its values, of shape [H].
    """

    fixed_weight: Tensor

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.start = start
        weight = torch.empty(start.shape, dtype=fixed_dtype())
        self.register_buffer("fixed_weight", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Restore the values, which nothing but a loaded state changes."""
        self.fixed_weight.copy_(self.start)

    def forward(self, dtype: torch.dtype) -> Tensor:
        """The weight in a floating-point type, of shape [H]."""
        return in_type(self.fixed_weight, dtype)

    @torch.no_grad()
    def _translate(self, state: dict[str, Any], prefix: str) -> None:
        for points in taken(state, {"weight": f"{prefix}weight"}).values():
            dtype = torch.promote_types(points.dtype, torch.float32)
            weight = _weight(points.to(dtype)).to(self.fixed_weight.dtype)
            state[f"{prefix}fixed_weight"] = weight


class LearnedWeight(CoefficientHolder):
    r"""A weight of each head, from 0 to 1024, that learns.

    It is stored like the coefficients, as the point u / 4 with
    :math:`u = \alpha / (1 + \alpha)`: see
    :class:`~torch_geometric_uotp.parametrization.LearnedCoefficients`.

    Args:
        name (str): What errors call it.
        start (torch.Tensor): Its initial values, of shape [H].

    Raises:
        ValueError: If one of them is beyond 1024.
    """

    def __init__(self, name: str, start: Tensor) -> None:
        super().__init__()
        self.name = name
        self.start = start
        points = self._points(start)
        self.weight = Parameter(torch.empty(points.shape, dtype=table_dtype()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Go back to the initial values."""
        with torch.no_grad():
            self.weight.copy_(self._points(self.start))

    def forward(self, dtype: torch.dtype) -> Tensor:
        """The weight in a floating-point type, of shape [H]."""
        return _weight(in_type(self.weight, dtype))

    def _points(self, weight: Tensor) -> Tensor:
        check_finite_start(self.name, weight)
        return weight / (1 + weight) / GAIN

    def _translate(self, state: dict[str, Any], prefix: str) -> None:
        for weight in taken(state, {"weight": f"{prefix}fixed_weight"}).values():
            state[f"{prefix}weight"] = self._points(weight).to(self.weight.dtype)


def _weight(points: Tensor) -> Tensor:
    (u,) = project(((0.0, sharpest()),), points)
    return odds(u)
