r"""What all plots need: packages that may be missing, axes, arrays."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from torch_geometric_uotp.arguments import check_integer, kind_of
from torch_geometric_uotp.problem import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of lines, and of what frames or names something.
LINE, FRAME = "0.6", "0.45"


def optional(module: str) -> Any:
    """Import a module of a package that a user need not have.

    Raises:
        ImportError: If the package is not installed.
    """
    package = module.split(".")[0]
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"this plot needs {package}, which is not installed (pip install {package})"
        ) from error


def axes_or_new(axes: Any) -> "Axes":
    """The axes given, or new ones that fill a figure.

    Raises:
        ValueError: If what is given is something else.
    """
    if axes is None:
        return new_axes()
    if not isinstance(axes, optional("matplotlib.axes").Axes):
        raise ValueError(f"'axes' must be Matplotlib's (got {kind_of(axes)})")
    given: Axes = axes
    return given


def new_axes() -> "Axes":
    """Axes that fill a new figure."""
    figure = optional("matplotlib.pyplot").figure(layout="constrained")
    axes: Axes = figure.add_subplot()
    return axes


def array(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor, in float32."""
    return tensor.detach().to("cpu", torch.float32).numpy()


def members(solution: Solution, number: int) -> Tensor:
    """The nodes of one set.

    Raises:
        ValueError: If there is no solution, no such set, or no node in it.
    """
    if not isinstance(solution, Solution):
        raise ValueError(
            "'solution' must be what a layer's solve() returned (got "
            f"{kind_of(solution)})"
        )
    check_integer("number", number)
    nodes = (solution.segments.index == number).nonzero().flatten()
    if nodes.numel() == 0:
        raise ValueError(
            f"'number' must be that of a set with nodes, among the "
            f"{solution.segments.num_sets} there are (got {number})"
        )
    return nodes
