r"""Training modes that come back."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn import Module


@contextmanager
def modes_kept(module: Module) -> Iterator[None]:
    """Give each module inside of one its own mode back at the end.

    ``module.train(mode)`` would give all of them the same, and so thaw what was
    frozen in evaluation mode.
    """
    modes = {inside: inside.training for inside in module.modules()}
    try:
        yield
    finally:
        for inside, training in modes.items():
            inside.training = training
