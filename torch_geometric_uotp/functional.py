r"""Pooling as a function, with plain coefficients."""

import math

import torch
from torch import Tensor

from torch_geometric_uotp.arguments import (
    check_features,
    check_integer,
    check_integers,
    is_number,
)
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.parametrization import check_sharpness
from torch_geometric_uotp.precision import outside_autocast
from torch_geometric_uotp.problem import Problem
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.solvers.badmm import BADMM
from torch_geometric_uotp.solvers.base import Solver
from torch_geometric_uotp.solvers.resolver import solver_resolver


def uotp_pool(
    x: Tensor,
    batch: Tensor | None,
    size: int | None = None,
    *,
    alpha0: float = 1.0,
    alpha1: float = 1.0,
    alpha2: float = 9.0,
    num_steps: int = 4,
    solver: str = "sinkhorn",
    regularizer: str = "entropy",
) -> Tensor:
    r"""Pool by unbalanced optimal transport, as
    :func:`~torch_geometric.nn.pool.global_mean_pool` pools by averaging.

    It is :class:`~torch_geometric_uotp.UOTPAggregation` without a state: one
    head, uniform priors, coefficients that do not learn.

    Args:
        x (torch.Tensor): The nodes' features, of shape [N, F], [*, N, F], or
            [N] with one channel.
        batch (torch.Tensor, optional): The set of each node, in any order.
            Without it all nodes form one set.
        size (int, optional): The number of sets. (default: as many as are
            described)
        alpha0 (float): Weight of the regulariser, from 0 to infinity
            inclusive. At 0 any positive ``alpha1`` or ``alpha2`` counts as
            infinite. (default: :obj:`1.0`)
        alpha1 (float): Weight of the channel prior, likewise.
            (default: :obj:`1.0`)
        alpha2 (float): Weight of the node prior, likewise.
            (default: :obj:`9.0`)
        num_steps (int): Steps of the solver. (default: :obj:`4`)
        solver (str): ``sinkhorn`` or ``badmm``. (default: ``sinkhorn``)
        regularizer (str): ``entropy`` or, with BADMM, ``quadratic``.
            (default: ``entropy``)

    Returns:
        Of shape [size, F], [*, size, F] or [size], and of the type of x; 0 for
        an empty set. Without ``batch``, and with further axes, the axis of the
        sets is left out, as PyTorch Geometric does: [*, F].

    Raises:
        ValueError: If an argument is not as above.
    """
    _check(x, batch, size)
    nodes = x.unsqueeze(-1) if x.dim() == 1 else x.movedim(-2, 0)
    segments = Segments.build(nodes.size(0), batch, num_sets=size, device=x.device)
    chosen = solver_resolver(solver, num_steps, regularizer)
    scores = nodes.reshape(nodes.size(0), math.prod(nodes.shape[1:-1]), nodes.size(-1))
    coefficients = _coefficients(scores, chosen, alpha0, alpha1, alpha2)
    with outside_autocast(x.device):
        solution = chosen(Problem.create(scores, segments, coefficients))
    pooled = solution.pooled.view(segments.num_sets, *nodes.shape[1:]).to(x.dtype)
    if x.dim() == 1:
        return pooled.squeeze(-1)
    return pooled.squeeze(0) if batch is None and x.dim() > 2 else pooled.movedim(0, -2)


def _check(x: Tensor, batch: Tensor | None, size: int | None) -> None:
    check_features("x", x)
    if x.dim() == 0:
        raise ValueError("'x' must be of shape [N], [N, F] or [*, N, F] (got shape ())")
    if batch is not None:
        check_integers("batch", batch)
    if size is not None:
        check_integer("size", size)
    if batch is None and size not in (None, 1):
        raise ValueError(f"'size' must be 1 without 'batch' (got {size})")


def _coefficients(
    scores: Tensor, solver: Solver, alpha0: float, alpha1: float, alpha2: float
) -> Coefficients:
    """One row of coefficients, with a column for each head of scores [N, H, C].

    Unlike :meth:`Coefficients.from_alphas`, which takes tables, this decides by
    Python's numbers alone, so that it can be compiled.
    """
    for name, alpha in (("alpha0", alpha0), ("alpha1", alpha1), ("alpha2", alpha2)):
        if not is_number(alpha) or not alpha >= 0:
            raise ValueError(
                f"'{name}' must be a number from 0 to infinity (got {alpha!r})"
            )
    dtype = torch.promote_types(scores.dtype, torch.float32)
    if alpha0 > 0:
        check_sharpness(1 / alpha0, dtype)

    def row(value: float) -> Tensor:
        return scores.new_full((1, scores.size(1)), value, dtype=dtype)

    return Coefficients(
        t=row(1 / alpha0 if alpha0 > 0 else 1),
        r_p=row(_fidelity(alpha1, alpha0)),
        r_q=row(_fidelity(alpha2, alpha0)),
        rho=row(solver.regularizer.rho) if isinstance(solver, BADMM) else None,
        hard=row(1).bool()[0] if alpha0 == 0 else None,
    )


def _fidelity(alpha: float, alpha0: float) -> float:
    if alpha == 0:
        return 0.0
    return 1.0 if alpha == math.inf else alpha / (alpha0 + alpha)
