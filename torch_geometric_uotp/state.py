r"""What a layer's state says of the layer that it belongs to."""

import json
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

# Raise it with every change of what a state holds, and go on reading the earlier ones.
FORMAT = 1
# Descriptions are filled up to a multiple of this length: what loads a tensor in place
# (torch.distributed.checkpoint) does so only where the sizes are the same.
BLOCK = 512

Setting = str | int | float | list[str] | None
Settings = dict[str, Setting]


class Described(Module):
    """A module whose state says what it computes, where its tensors do not.

    Two layers may have tables of the same shapes and compute something else, in 4
    steps and in 6. So the state holds the arguments that decide the result and are
    no tensors (:meth:`settings`), and the number of the state's format.
    ``load_state_dict`` raises a ``RuntimeError`` where one of them differs from the
    layer's, with ``strict=False`` too: that forgives what is missing, not what
    contradicts. A state that does not have this entry is refused by
    ``strict=True`` alone, as for any entry that is missing.

    The entry is a tensor, the characters of a JSON text, since much that handles
    states takes nothing else: safetensors, averages of states,
    ``torch.func.functional_call``, distributed checkpoints. It is of integers, which
    averages leave alone or divide as they do with the counter of a batch
    normalisation, and wide enough for the sum of many. It lies on the CPU, so that a
    layer without memory (the meta device) has it too; it is made when asked for, and
    copies, pickles and what iterates over buffers do not meet it.
    """

    def settings(self) -> Settings:
        """The arguments that decide the result and are no tensors of the state."""
        raise NotImplementedError

    def get_extra_state(self) -> Tensor:
        """The settings and the format, as a tensor."""
        return encoded({"format": FORMAT, **self.settings()})

    def set_extra_state(self, state: Tensor) -> None:
        """Check that a state is of a layer like this one.

        Raises:
            RuntimeError: If it is not; both values are named.
        """
        if not (isinstance(state, Tensor) and state.is_meta):
            check_same(decoded(state), self.settings())

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
        key = f"{prefix}_extra_state"
        try:
            if key in state_dict:
                self.set_extra_state(state_dict[key])
        except RuntimeError as error:
            error_msgs.append(f"{prefix.rstrip('.') or type(self).__name__}: {error}")
            state_dict[key] = self.get_extra_state()
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )


def encoded(settings: Settings) -> Tensor:
    """A description as a tensor of integers."""
    text = json.dumps(settings)
    text += " " * (-len(text) % BLOCK)
    return torch.tensor(list(text.encode()), dtype=torch.int32, device="cpu")


def decoded(state: Tensor) -> Settings:
    """The description that a tensor holds.

    Raises:
        RuntimeError: If it holds none, or one in a format that is not known.
    """
    try:
        numbers = state.to("cpu", torch.float64).round().to(torch.uint8)
        settings = json.loads(bytes(numbers.tolist()))
        saved = settings.pop("format")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RuntimeError("the state does not say of what layer it is") from error
    if saved not in range(1, FORMAT + 1):
        raise RuntimeError(
            f"the state has the format {saved}, and this version reads 1 to {FORMAT}: "
            "load it with the version that saved it, or a later one"
        )
    return dict(settings)


def check_same(saved: Settings, own: Settings) -> None:
    """Check that two descriptions are the same.

    Raises:
        RuntimeError: If they are not; it names each difference.
    """
    names = [name for name in {**saved, **own} if saved.get(name) != own.get(name)]
    if names:
        differences = "; ".join(
            f"'{name}' is {saved.get(name)!r} in the state and {own.get(name)!r} in "
            "the layer"
            for name in names
        )
        raise RuntimeError(
            f"the state is of a layer that computes otherwise: {differences}"
        )
