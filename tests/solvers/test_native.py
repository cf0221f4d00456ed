"""What the native path leaves to the portable one."""

from unittest.mock import Mock

import torch

from tests.problems import ragged
from torch_geometric_uotp.semiring import LOG_SUM_EXP
from torch_geometric_uotp.solvers import Sinkhorn
from torch_geometric_uotp.solvers.native import with_portable


def test_plan_and_residual_share_one_solution() -> None:
    problem = ragged(heads=2)
    problem.scores.requires_grad_()
    exact = Sinkhorn(3).solve(problem.explicit(), LOG_SUM_EXP)
    solve = Mock(side_effect=lambda given: Sinkhorn(3).solve(given, LOG_SUM_EXP))
    solution = with_portable(exact.pooled.view(5, 2, 4), problem, solve)
    with torch.no_grad():
        torch.testing.assert_close(solution.residual, exact.residual)
    torch.testing.assert_close(solution.plan, exact.plan)
    assert solution.unnormalized().requires_grad
    assert solve.call_count == 2, "once without gradients, once with them"
