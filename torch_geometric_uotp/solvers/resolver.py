r"""Solvers by name."""

from torch_geometric_uotp.solvers.badmm import BADMM, Entropy, Quadratic, Regularizer
from torch_geometric_uotp.solvers.base import Solver
from torch_geometric_uotp.solvers.sinkhorn import Sinkhorn

REGULARIZERS: dict[str, Regularizer] = {
    "entropy": Entropy(),
    "quadratic": Quadratic(),
}


def solver_resolver(
    name: str, num_steps: int = 4, regularizer: str = "entropy"
) -> Solver:
    """Make the solver of a name.

    Args:
        name (str): ``sinkhorn`` or ``badmm``.
        num_steps (int): K. (default: :obj:`4`)
        regularizer (str): ``entropy`` or, for BADMM, ``quadratic``.
            (default: ``entropy``)

    Raises:
        ValueError: If there is no such solver or regulariser, or if the solver
            cannot take the regulariser.
    """
    if regularizer not in REGULARIZERS:
        raise ValueError(
            f"'regularizer' must be one of {sorted(REGULARIZERS)} (got '{regularizer}')"
        )
    if name == "badmm":
        return BADMM(num_steps, REGULARIZERS[regularizer])
    if name != "sinkhorn":
        raise ValueError(f"'solver' must be 'sinkhorn' or 'badmm' (got '{name}')")
    if regularizer != "entropy":
        raise ValueError(
            f"the Sinkhorn solver needs regularizer='entropy' (got "
            f"'{regularizer}'); BADMM takes it"
        )
    return Sinkhorn(num_steps)
