r"""Solvers by name."""

from torch_geometric_uotp.arguments import check_choice
from torch_geometric_uotp.solvers.badmm import BADMM, Entropy, Quadratic, Regularizer
from torch_geometric_uotp.solvers.base import Solver
from torch_geometric_uotp.solvers.fixed_point import FixedPoint
from torch_geometric_uotp.solvers.sinkhorn import Sinkhorn

REGULARIZERS: dict[str, Regularizer] = {
    "entropy": Entropy(),
    "quadratic": Quadratic(),
}


def solver_resolver(
    name: str,
    num_steps: int | None = None,
    regularizer: str = "entropy",
    tol: float | None = None,
    max_steps: int | None = None,
) -> Solver:
    """Make the solver of a name.

    Args:
        name (str): ``sinkhorn`` or ``badmm``.
        num_steps (int, optional): K. (default: :obj:`4`)
        regularizer (str): ``entropy`` or, for BADMM, ``quadratic``.
            (default: ``entropy``)
        tol (float, optional): With Sinkhorn, solve to this residual in place of
            a number of steps. (default: :obj:`None`)
        max_steps (int, optional): Steps at most, with ``tol``.
            (default: :obj:`1000`)

    Raises:
        ValueError: If there is no such solver or regulariser, or if the solver
            cannot take an argument.
    """
    _check_extent(name, num_steps, tol, max_steps)
    check_choice("regularizer", regularizer, REGULARIZERS)
    steps = 4 if num_steps is None else num_steps
    if name == "badmm":
        return BADMM(steps, REGULARIZERS[regularizer])
    if name != "sinkhorn":
        raise ValueError(f"'solver' must be 'sinkhorn' or 'badmm' (got '{name}')")
    if regularizer != "entropy":
        raise ValueError(
            f"the Sinkhorn solver needs regularizer='entropy' (got "
            f"'{regularizer}'); BADMM takes it"
        )
    if tol is None:
        return Sinkhorn(steps)
    return FixedPoint(tol) if max_steps is None else FixedPoint(tol, max_steps)


def _check_extent(
    name: str, num_steps: int | None, tol: float | None, max_steps: int | None
) -> None:
    if tol is None and max_steps is not None:
        raise ValueError(f"'max_steps' needs 'tol' (got max_steps={max_steps} alone)")
    if tol is not None and num_steps is not None:
        raise ValueError(
            "'num_steps' and 'tol' exclude each other (got "
            f"num_steps={num_steps}, tol={tol}); 'max_steps' limits the steps to 'tol'"
        )
    if tol is not None and name == "badmm":
        raise ValueError(f"'tol' needs solver='sinkhorn' (got '{name}')")
