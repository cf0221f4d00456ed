r"""Tables of a layer that keep their precision, whatever type the layer is moved to."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

Convert = Callable[[Tensor], Tensor]

# Devices that have no double precision: there, fixed tables are in float32.
WITHOUT_DOUBLE = ("mps",)


class CoefficientHolder(Module):
    """Tables that follow the module to a device, and not to a coarser type.

    What learns, a parameter, is in float32 or better: half precision has too few
    digits for it, since t = 1e6 overflows, and a step of 1e-3 from 0.9 is lost. What
    does not, a buffer, is in float64, to be exact in every type it is used in; but
    in float32 on a device without float64 (MPS). Where they start is kept apart, in
    float64 on the CPU.
    """

    def reset_parameters(self) -> None:
        """Go back to the initial values, in the type of the tables."""
        raise NotImplementedError

    def _apply(self, fn: Convert, recurse: bool = True) -> Module:
        buffers, self._buffers = self._buffers, {}
        try:
            super()._apply(keeping_precision(fn), recurse)  # type: ignore[no-untyped-call]
        finally:
            self._buffers = buffers
        for name, table in buffers.items():
            if table is not None:
                buffers[name] = in_double(fn)(table)
        return self

    def _translate(self, state: dict[str, Any], prefix: str) -> None:
        """Turn tables of the other kind, fixed or learned, into this one's.

        Raises:
            ValueError: If this kind cannot have their values.
        """

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        try:
            self._translate(state_dict, prefix)
        except ValueError as error:
            error_msgs.append(f"{prefix.rstrip('.') or type(self).__name__}: {error}")
            return
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )


def keeping_precision(fn: Convert) -> Convert:
    """The same conversion of a tensor, but for one to half precision."""

    def convert(tensor: Tensor) -> Tensor:
        moved = fn(tensor)
        if moved.is_floating_point() and moved.dtype.itemsize < 4:
            return tensor.to(moved.device)
        return moved

    return convert


def in_double(fn: Convert) -> Convert:
    """The same conversion of a table, but for its type: float64 where there is one."""

    def convert(table: Tensor) -> Tensor:
        device = fn(torch.empty(0, dtype=torch.float32, device=table.device)).device
        if device.type in WITHOUT_DOUBLE:
            return keeping_precision(fn)(table.float())
        moved = fn(table)
        if moved.dtype != table.dtype:
            moved = table.to(moved.device)
        return moved.double()

    return convert


def fixed_dtype() -> torch.dtype:
    """The floating-point type of what does not learn: float64 where there is one."""
    if torch.get_default_device().type in WITHOUT_DOUBLE:
        return torch.float32
    return torch.float64


def table_dtype() -> torch.dtype:
    r"""The floating-point type of what learns: the default, but float32 at least."""
    return torch.promote_types(torch.get_default_dtype(), torch.float32)


def in_type(table: Tensor, dtype: torch.dtype) -> Tensor:
    """A table in a type: a call that would do nothing costs a small batch time."""
    return table if table.dtype == dtype else table.to(dtype)


def in_rows(table: Tensor, dtype: torch.dtype) -> Tensor:
    """A table [rows, H] in a type, from one that all steps share [H], or from rows."""
    table = in_type(table, dtype)
    return table.unsqueeze(0) if table.dim() == 1 else table


def taken(state: dict[str, Any], keys: Mapping[str, str]) -> dict[str, Tensor]:
    """Take the tables at these keys out of a state, if it has the first of them.

    Of tensors without memory nothing can be said, and they stay.
    """
    found = {name: state[key] for name, key in keys.items() if key in state}
    if next(iter(keys)) not in found or any(x.is_meta for x in found.values()):
        return {}
    for name in found:
        del state[keys[name]]
    return found
