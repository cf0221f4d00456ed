r"""From problems to the native operators, and back to solutions."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from torch_geometric_uotp import ops
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.operators import Operator
from torch_geometric_uotp.problem import Problem, Solution
from torch_geometric_uotp.projection import Projection


def takes(problem: Problem) -> bool:
    """Whether the native operators solve a problem: not one without a channel."""
    _, heads, channels = problem.scores.shape
    return heads > 0 and channels > 0 and ops.takes(problem.scores)


def pool_natively(operator: Operator, problem: Problem, *options: int | bool) -> Tensor:
    """The pooled values [G, H, C], by an operator with these options."""
    heads, log_q0 = problem.scores.size(1), problem.log_q0
    return ops.pool(
        operator,
        problem.scores,
        None if problem.values is problem.scores else problem.values,
        problem.segments,
        problem.coefficients.expand_heads(heads),
        problem.log_p0,
        None if log_q0 is None else log_q0.expand(-1, heads),
        *options,
    )


def with_portable(
    pooled: Tensor, problem: Problem, solve: Callable[[Problem], Solution]
) -> Solution:
    """Add to pooled values [G, H, C] what only the portable path computes.

    It runs once for both the plan and the residual, and again only if one of them
    is asked for with gradients and the other without.

    Args:
        pooled (torch.Tensor): By :func:`pool_natively`.
        problem (Problem): What was solved.
        solve (callable): The portable path, for an explicit problem.
    """
    found: dict[bool, Solution] = {}

    def portable() -> Solution:
        with_gradients = torch.is_grad_enabled()
        if with_gradients not in found:
            found[with_gradients] = solve(problem.explicit())
        return found[with_gradients]

    return Solution(
        pooled=pooled.flatten(1),
        segments=problem.segments,
        heads=problem.scores.size(1),
        make_plan=lambda: portable().make_plan(),
        make_residual=lambda: portable().make_residual(),
    )


def as_given(coefficients: Coefficients, gain: float, ceiling: float) -> Coefficients:
    """Tables as an operator was given them: what a layer stores if it has a gain."""
    projection = Projection(ceiling) if gain else None
    return replace(coefficients, projection=projection)
