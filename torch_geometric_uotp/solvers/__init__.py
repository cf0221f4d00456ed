r"""Solvers of the transport problem: ``solver(problem) -> Solution``."""

from torch_geometric_uotp.solvers.badmm import BADMM, Entropy, Quadratic
from torch_geometric_uotp.solvers.base import Solver
from torch_geometric_uotp.solvers.fixed_point import FixedPoint
from torch_geometric_uotp.solvers.sinkhorn import Sinkhorn
from torch_geometric_uotp.solvers.structural import Structural

__all__ = [
    "BADMM",
    "Entropy",
    "FixedPoint",
    "Quadratic",
    "Sinkhorn",
    "Solver",
    "Structural",
]
