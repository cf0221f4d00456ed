r"""How a layer holds its coefficients: learned or fixed."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.holder import (
    CoefficientHolder,
    fixed_dtype,
    in_rows,
    table_dtype,
    taken,
)
from torch_geometric_uotp.projection import GAIN, LARGEST, Projection, sharpest

TABLES = ("t", "r_p", "r_q", "rho")
FIXED = {name: f"fixed_{name}" for name in TABLES}


class FixedCoefficients(CoefficientHolder):
    """Coefficients that do not learn, held as buffers, an infinite t as such.

    A state of :class:`LearnedCoefficients`, whose tables have other names and hold
    something else, can be loaded: what was learned is frozen. The layer then
    computes what the other one did, to the bit in the type of what was learned.

    Args:
        start (Coefficients): Their values.
        shared (bool): Whether all steps share them, in tables of shape [H], or
            have their own, in tables of shape [K, H]. (default: :obj:`True`)

    Raises:
        ValueError: If t is beyond the root of the largest number of the default
            type, so that features could make it infinite, or rho leaves its range.
    """

    fixed_t: Tensor
    fixed_r_p: Tensor
    fixed_r_q: Tensor
    fixed_rho: Tensor | None
    infinite: bool

    def __init__(self, start: Coefficients, shared: bool = True) -> None:
        super().__init__()
        self.start = start
        self.shared = shared
        _check_fixed(start)
        values = _values(start)
        for name, buffer in FIXED.items():
            table = None
            if name in values:
                shape = _stored(values[name], shared).shape
                table = torch.empty(shape, dtype=fixed_dtype())
            self.register_buffer(buffer, table)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Restore the values, which nothing but a loaded state changes."""
        self.infinite = self.start.hard is not None
        for name, values in _values(self.start).items():
            getattr(self, FIXED[name]).copy_(_stored(values, self.shared))

    def forward(self, dtype: torch.dtype) -> Coefficients:
        """The coefficients in a floating-point type."""
        return self.tables(dtype)

    def tables(self, dtype: torch.dtype) -> Coefficients:
        """The same: what does not learn is stored as it is."""
        coefficients = Coefficients(
            t=in_rows(self.fixed_t, dtype),
            r_p=in_rows(self.fixed_r_p, dtype),
            r_q=in_rows(self.fixed_r_q, dtype),
            rho=None if self.fixed_rho is None else in_rows(self.fixed_rho, dtype),
        )
        return _limited(coefficients) if self.infinite else coefficients

    def _translate(self, state: dict[str, Any], prefix: str) -> None:
        points = taken(state, {name: f"{prefix}{name}" for name in TABLES})
        if points:
            unbounded = bool(state.pop(f"{prefix}_extra_state", False))
            for name, values in self._frozen(points, unbounded).items():
                state[f"{prefix}{FIXED[name]}"] = values
        names = {name: f"{prefix}{buffer}" for name, buffer in FIXED.items()}
        loaded = _coefficients(taken(dict(state), names))
        if loaded is not None:
            _check_fixed(loaded)
            self.infinite = loaded.hard is not None

    @torch.no_grad()
    def _frozen(
        self, points: Mapping[str, Tensor], unbounded: bool
    ) -> dict[str, Tensor]:
        """The values that points stand for, as they are stored here."""
        dtype = torch.promote_types(points["t"].dtype, torch.float32)
        rows = {name: in_rows(table, dtype) for name, table in points.items()}
        projection = Projection(1.0 if unbounded else sharpest())
        values = projection(rows["t"], rows["r_p"], rows["r_q"], rows.get("rho"))
        steps = 1 if self.shared else self.fixed_t.size(0)
        return {
            name: _stored(_filled(table, steps), self.shared).to(self.fixed_t.dtype)
            for name, table in _values(Coefficients(*values)).items()
        }


class LearnedCoefficients(CoefficientHolder):
    r"""Coefficients an ordinary optimiser can move, and cannot make fly off.

    Each is a point u of the interval [0, 1]: :math:`r_p` and :math:`r_q`
    themselves, :math:`t / (1 + t) = 1 / (1 + \alpha_0)`, and
    :math:`\rho / (1 + \rho)`. What is stored is u / 4 (see ``GAIN``), projected
    to the interval when used. Both ends can be reached, and left again, since
    u has a useful gradient there; t and rho end at 1024 unless t starts at
    infinity. Where t ends is part of the state: a layer that is loaded computes
    what the saved one did, wherever either started. It takes over a state of
    :class:`FixedCoefficients` too, if it could start there.

    Args:
        start (Coefficients): Initial values.
        rows (dict): For each of ``t``, ``r_p``, ``r_q`` (and ``rho``), the rows
            of its table that the output depends on, a slice. With none the
            table is a buffer: it can matter to the plan, but no gradient would
            reach it.
        shared (bool): Whether all steps share them, in tables of shape [H], which
            optimisers are usually told not to decay, or have their own, in tables
            of shape [rows, H]. (default: :obj:`True`)

    Raises:
        ValueError: If a finite t or rho starts beyond 1024, or if t starts at
            infinity with a value for each step.
    """

    t: Tensor
    r_p: Tensor
    r_q: Tensor
    rho: Tensor
    unbounded: bool

    def __init__(
        self, start: Coefficients, rows: dict[str, slice], shared: bool = True
    ) -> None:
        super().__init__()
        self.start = start
        self.rows = rows
        self.shared = shared
        for name, point in self._points(start).items():
            if getattr(start, name)[rows[name]].size(0) > 0:
                table = Parameter(torch.empty(point.shape, dtype=table_dtype()))
                self.register_parameter(name, table)
            else:
                empty = torch.empty(point.shape, dtype=fixed_dtype())
                self.register_buffer(name, empty)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Go back to the initial values."""
        self.unbounded = self.start.hard is not None
        for name, point in self._points(self.start).items():
            with torch.no_grad():
                getattr(self, name).copy_(point)

    def forward(self, dtype: torch.dtype) -> Coefficients:
        """The coefficients in a floating-point type."""
        return self.tables(dtype).explicit()

    def tables(self, dtype: torch.dtype) -> Coefficients:
        """The coefficients as they are stored, for solvers that project them.

        Heads that may have an infinite t are projected here.
        """
        stored = Coefficients(
            t=in_rows(self.t, dtype),
            r_p=in_rows(self.r_p, dtype),
            r_q=in_rows(self.r_q, dtype),
            rho=None if self.start.rho is None else in_rows(self.rho, dtype),
            projection=Projection(1.0 if self.unbounded else sharpest()),
        )
        return stored.explicit() if self.unbounded else stored

    def get_extra_state(self) -> Tensor:
        """Whether t may be infinite."""
        return torch.tensor(self.unbounded, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Take over whether t may be infinite."""
        if not state.is_meta:
            self.unbounded = bool(state)

    def _points(self, start: Coefficients) -> dict[str, Tensor]:
        """What is stored for these values."""
        steps = start.t[self.rows["t"]].size(0)
        if start.hard is not None and steps > 1:
            raise ValueError(
                "a learned 'alpha0' of 0 must be shared by all steps (got one "
                f"for each of {steps})"
            )
        points = _points(start)
        kept = {name: self._kept(points[name], name) for name in points}
        return {name: _stored(rows / GAIN, self.shared) for name, rows in kept.items()}

    def _kept(self, point: Tensor, name: str) -> Tensor:
        """The rows that matter to the output, else one that t keeps too."""
        rows = point[self.rows[name]]
        return rows if rows.size(0) > 0 else point[self.rows["t"]][:1]

    def _translate(self, state: dict[str, Any], prefix: str) -> None:
        names = {name: f"{prefix}{buffer}" for name, buffer in FIXED.items()}
        start = _coefficients(taken(state, names))
        if start is None:
            return
        for name, point in self._points(start).items():
            state[f"{prefix}{name}"] = point.to(self.t.dtype)
        unbounded = start.hard is not None
        state[f"{prefix}_extra_state"] = torch.tensor(unbounded, device="cpu")


def _values(coefficients: Coefficients) -> dict[str, Tensor]:
    """The tables of coefficients by name, with t infinite where it is."""
    tables = {name: getattr(coefficients, name) for name in TABLES}
    if coefficients.hard is not None:
        tables["t"] = coefficients.t.masked_fill(coefficients.hard, math.inf)
    return {name: table for name, table in tables.items() if table is not None}


def _coefficients(values: Mapping[str, Tensor]) -> Coefficients | None:
    """The other way round; none if there are no tables."""
    if not values:
        return None
    dtype = torch.promote_types(values["t"].dtype, torch.float32)
    rows = {name: in_rows(table, dtype) for name, table in values.items()}
    found = Coefficients(rows["t"], rows["r_p"], rows["r_q"], rows.get("rho"))
    return _limited(found) if bool(found.t.isinf().any()) else found


def _limited(coefficients: Coefficients) -> Coefficients:
    """The same with a finite t, and the heads in which it is infinite apart."""
    infinite = coefficients.t.isinf()
    t = coefficients.t.masked_fill(infinite, 1)
    return replace(coefficients, t=t, hard=infinite[0])


def _stored(rows: Tensor, shared: bool) -> Tensor:
    """A table as it is stored: one row that all steps share has no axis of its own."""
    return rows[0] if shared and rows.size(0) == 1 else rows


def _filled(table: Tensor, steps: int) -> Tensor:
    """A table with the last row repeated, which serves the steps beyond it."""
    missing = max(steps - table.size(0), 0)
    return torch.cat([table, table[-1:].expand(missing, -1)])


def _points(start: Coefficients) -> dict[str, Tensor]:
    """The point of [0, 1] that stands for each coefficient."""
    check_finite_start("alpha0", start.t)
    t = start.t / (1 + start.t)
    if start.hard is not None:
        t = t.masked_fill(start.hard, 1)
    points = {"t": t, "r_p": start.r_p, "r_q": start.r_q}
    if start.rho is None:
        return points
    check_finite_start("rho", start.rho)
    if bool((start.rho * LARGEST < 1).any()):
        raise ValueError(
            f"a learned 'rho' must start at the inverse of {LARGEST:g} or above (got "
            f"{start.rho.min():g}; learn=False allows more)"
        )
    return points | {"rho": start.rho / (1 + start.rho)}


def _check_fixed(start: Coefficients) -> None:
    dtype = table_dtype()
    check_sharpness(float(start.t.max()), dtype)
    if start.rho is not None:
        _check_range("rho", start.rho, dtype)
        _check_range("rho", start.rho.reciprocal(), dtype)


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


def check_finite_start(name: str, values: Tensor) -> None:
    """Refuse a value that a coefficient which learns cannot have.

    Raises:
        ValueError: If it is beyond ``LARGEST``.
    """
    if bool((values > LARGEST).any()):
        most, got = f"at {LARGEST:g} or below", values.max()
        if name == "alpha0":  # given by its inverse, t
            most, got = f"at 0, or at the inverse of {LARGEST:g} or above", 1 / got
        raise ValueError(
            f"a learned '{name}' must start {most} (got {got:g}; learn=False allows "
            "more)"
        )


def _check_range(name: str, values: Tensor, dtype: torch.dtype) -> None:
    if not bool(values.to(dtype).isfinite().all()):
        raise ValueError(
            f"'{name}' and its inverse must lie in the range of {dtype} (got a value "
            f"that asks for {values.max():g})"
        )
