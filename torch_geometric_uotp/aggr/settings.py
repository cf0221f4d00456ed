r"""What a transport layer's state says of the layer."""

from torch.nn import Module

from torch_geometric_uotp.priors import AttentionPrior, UniformPrior
from torch_geometric_uotp.solvers.badmm import BADMM
from torch_geometric_uotp.solvers.base import Solver
from torch_geometric_uotp.solvers.fixed_point import FixedPoint
from torch_geometric_uotp.solvers.resolver import REGULARIZERS
from torch_geometric_uotp.solvers.sinkhorn import Sinkhorn
from torch_geometric_uotp.solvers.structural import Structural
from torch_geometric_uotp.state import Settings


def settings_of_solver(solver: Solver) -> Settings:
    """The arguments of a layer that make its solver."""
    if isinstance(solver, Structural):
        outer: Settings = {"num_outer_steps": int(solver.num_steps)}
        return settings_of_solver(solver.inner) | outer
    if isinstance(solver, FixedPoint):
        steps = int(solver.max_steps)
        return {"solver": "sinkhorn", "tol": float(solver.tol), "max_steps": steps}
    if isinstance(solver, BADMM):
        names = {kind: name for name, kind in REGULARIZERS.items()}
        return {
            "solver": "badmm",
            "regularizer": names[solver.regularizer],
            "num_steps": int(solver.num_steps),
        }
    assert isinstance(solver, Sinkhorn)
    return {"solver": "sinkhorn", "num_steps": int(solver.num_steps)}


def name_of_prior(prior: Module) -> str:
    """The name of a node prior, or ``module`` for one that was given."""
    return str(prior) if type(prior) in (UniformPrior, AttentionPrior) else "module"
