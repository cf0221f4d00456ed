r"""How a layer holds its coefficients: learned or fixed."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.projection import (
    GAIN,
    LARGEST,
    Projection,
    odds,
    project,
    sharpest,
)

FIXED = ("t", "r_p", "r_q", "rho", "hard")


def keeping_precision(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The same conversion of a tensor, but for one to half precision."""

    def convert(tensor: Tensor) -> Tensor:
        moved = fn(tensor)
        if moved.is_floating_point() and moved.dtype.itemsize < 4:
            return tensor.to(moved.device)
        return moved

    return convert


class CoefficientHolder(Module):
    """Tables that follow the module to a device, in float32 or better.

    Half precision has too few digits for them: t = 1e6 overflows, and a step of
    1e-3 from 0.9 is lost. Where they start is kept apart, in float64 on the CPU.
    """

    def reset_parameters(self) -> None:
        """Go back to the initial values, in the type of the tables."""
        raise NotImplementedError

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Module:
        return super()._apply(keeping_precision(fn), recurse)  # type: ignore[no-any-return, no-untyped-call]


class FixedCoefficients(CoefficientHolder):
    """Coefficients that do not learn, held as buffers.

    Their names in a state are other than those of :class:`LearnedCoefficients`,
    whose tables hold something else: neither loads the other's.

    Args:
        start (Coefficients): Their values.

    Raises:
        ValueError: If t is beyond the root of the largest number of the tables'
            type, so that features could make it infinite, or rho leaves its range.
    """

    fixed_t: Tensor
    fixed_r_p: Tensor
    fixed_r_q: Tensor
    fixed_rho: Tensor | None
    fixed_hard: Tensor | None

    def __init__(self, start: Coefficients) -> None:
        super().__init__()
        self.start = start
        dtype = table_dtype()
        check_sharpness(float(start.t.max()), dtype)
        if start.rho is not None:
            _check_range("rho", start.rho, dtype)
            _check_range("rho", start.rho.reciprocal(), dtype)
        for name in FIXED:
            table = getattr(start, name)
            kind = torch.bool if name == "hard" else dtype
            empty = None if table is None else torch.empty(table.shape, dtype=kind)
            self.register_buffer(f"fixed_{name}", empty)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Restore the values, which nothing but a loaded state changes."""
        for name in FIXED:
            table = getattr(self, f"fixed_{name}")
            if table is not None:
                table.copy_(getattr(self.start, name))

    def forward(self, dtype: torch.dtype) -> Coefficients:
        """The coefficients in a floating-point type."""
        return self.tables(dtype)

    def tables(self, dtype: torch.dtype) -> Coefficients:
        """The same: what does not learn is stored as it is."""
        return Coefficients(
            t=self.fixed_t.to(dtype),
            r_p=self.fixed_r_p.to(dtype),
            r_q=self.fixed_r_q.to(dtype),
            rho=_maybe(self.fixed_rho, dtype),
            hard=self.fixed_hard,
        )


class LearnedCoefficients(CoefficientHolder):
    r"""Coefficients an ordinary optimiser can move, and cannot make fly off.

    Each is a point u of the interval [0, 1]: :math:`r_p` and :math:`r_q`
    themselves, :math:`t / (1 + t) = 1 / (1 + \alpha_0)`, and
    :math:`\rho / (1 + \rho)`. What is stored is u / 4 (see ``GAIN``), projected
    to the interval when used. Both ends can be reached, and left again, since
    u has a useful gradient there; t and rho end at 1024 unless t starts at
    infinity. Where t ends is part of the state: a layer that is loaded computes
    what the saved one did, wherever either started.

    Args:
        start (Coefficients): Initial values.
        rows (dict): For each of ``t``, ``r_p``, ``r_q`` (and ``rho``), the rows
            of its table that the output depends on, a slice. With none the
            table is a buffer: it can matter to the plan, but no gradient would
            reach it.

    Raises:
        ValueError: If a finite t or rho starts beyond 1024, or if t starts at
            infinity with a value for each step.
    """

    t: Tensor
    r_p: Tensor
    r_q: Tensor
    rho: Tensor
    unbounded: bool

    def __init__(self, start: Coefficients, rows: dict[str, slice]) -> None:
        super().__init__()
        steps = start.t[rows["t"]].size(0)
        if start.hard is not None and steps > 1:
            raise ValueError(
                "a learned 'alpha0' of 0 must be shared by all steps (got one "
                f"for each of {steps})"
            )
        self.start = start
        self.rows = rows
        for name, point in _points(start).items():
            learns = point[rows[name]].size(0) > 0
            shape = self._kept(name, point).shape
            table = torch.empty(shape, dtype=table_dtype())
            if learns:
                self.register_parameter(name, Parameter(table))
            else:
                self.register_buffer(name, table)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Go back to the initial values."""
        self.unbounded = self.start.hard is not None
        for name, point in _points(self.start).items():
            table = getattr(self, name)
            with torch.no_grad():
                table.copy_(self._kept(name, point / GAIN))

    def _kept(self, name: str, point: Tensor) -> Tensor:
        """The rows that matter to the output, else one that t keeps too."""
        rows = point[self.rows[name]]
        return rows if rows.size(0) > 0 else point[self.rows["t"]][:1]

    def forward(self, dtype: torch.dtype) -> Coefficients:
        """The coefficients in a floating-point type."""
        return self.tables(dtype).explicit()

    def tables(self, dtype: torch.dtype) -> Coefficients:
        """The coefficients as they are stored, for solvers that project them.

        Heads that may have an infinite t are projected here.
        """
        rho = None if self.start.rho is None else self.rho.to(dtype)
        t, r_p, r_q = (table.to(dtype) for table in (self.t, self.r_p, self.r_q))
        projection = Projection(1.0 if self.unbounded else sharpest())
        stored = Coefficients(t, r_p, r_q, rho, projection=projection)
        return stored.explicit() if self.unbounded else stored

    def get_extra_state(self) -> Tensor:
        """Whether t may be infinite."""
        return torch.tensor(self.unbounded, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Take over whether t may be infinite."""
        self.unbounded = bool(state)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *arguments: Any
    ) -> None:
        # States saved before they said so are of a layer that started like this one.
        state_dict.setdefault(f"{prefix}_extra_state", self.get_extra_state())
        super()._load_from_state_dict(state_dict, prefix, *arguments)


class FixedWeight(CoefficientHolder):
    r"""A weight of each head that does not learn, held as a buffer.

    Args:
        start (torch.Tensor): Its values, of shape [H].
    """

    fixed_weight: Tensor

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.start = start
        weight = torch.empty(start.shape, dtype=table_dtype())
        self.register_buffer("fixed_weight", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Restore the values, which nothing but a loaded state changes."""
        self.fixed_weight.copy_(self.start)

    def forward(self, dtype: torch.dtype) -> Tensor:
        """The weight in a floating-point type, of shape [H]."""
        return self.fixed_weight.to(dtype)


class LearnedWeight(CoefficientHolder):
    r"""A weight of each head, from 0 to 1024, that learns.

    It is stored like the coefficients, as the point u / 4 with
    :math:`u = \alpha / (1 + \alpha)`: see :class:`LearnedCoefficients`.

    Args:
        name (str): What errors call it.
        start (torch.Tensor): Its initial values, of shape [H].

    Raises:
        ValueError: If one of them is beyond 1024.
    """

    def __init__(self, name: str, start: Tensor) -> None:
        super().__init__()
        _check_finite_start(name, start)
        self.start = start
        self.weight = Parameter(torch.empty(start.size(0), dtype=table_dtype()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Go back to the initial values."""
        with torch.no_grad():
            self.weight.copy_(self.start / (1 + self.start) / GAIN)

    def forward(self, dtype: torch.dtype) -> Tensor:
        """The weight in a floating-point type, of shape [H]."""
        (u,) = project(((0.0, sharpest()),), self.weight.to(dtype))
        return odds(u)


def _points(start: Coefficients) -> dict[str, Tensor]:
    """The point of [0, 1] that stands for each coefficient."""
    _check_finite_start("alpha0", start.t)
    t = start.t / (1 + start.t)
    if start.hard is not None:
        t = t.masked_fill(start.hard, 1)
    points = {"t": t, "r_p": start.r_p, "r_q": start.r_q}
    if start.rho is None:
        return points
    _check_finite_start("rho", start.rho)
    if bool((start.rho * LARGEST < 1).any()):
        raise ValueError(
            f"a learned 'rho' must start at the inverse of {LARGEST:g} or above (got "
            f"{start.rho.min():g}; learn=False allows more)"
        )
    return points | {"rho": start.rho / (1 + start.rho)}


def check_sharpness(t: float, dtype: torch.dtype) -> None:
    """Refuse an inverse temperature that would take ordinary features to infinity.

    Raises:
        ValueError: If it is beyond the root of the largest number of the type.
    """
    largest = math.sqrt(torch.finfo(dtype).max)
    if t > largest:
        raise ValueError(
            f"'alpha0' must be 0 or at least {1 / largest:.2g} in {dtype} (got a "
            f"value whose inverse is {t:g})"
        )


def _check_range(name: str, values: Tensor, dtype: torch.dtype) -> None:
    if not bool(values.to(dtype).isfinite().all()):
        raise ValueError(
            f"'{name}' and its inverse must lie in the range of {dtype} (got a value "
            f"that asks for {values.max():g})"
        )


def _check_finite_start(name: str, values: Tensor) -> None:
    if bool((values > LARGEST).any()):
        most, got = f"at {LARGEST:g} or below", values.max()
        if name == "alpha0":  # given by its inverse, t
            most, got = f"at 0, or at the inverse of {LARGEST:g} or above", 1 / got
        raise ValueError(
            f"a learned '{name}' must start {most} (got {got:g}; learn=False allows "
            "more)"
        )


def _maybe(table: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if table is None else table.to(dtype)


def table_dtype() -> torch.dtype:
    r"""The floating-point type of what learns: the default, but float32 at least."""
    return torch.promote_types(torch.get_default_dtype(), torch.float32)
