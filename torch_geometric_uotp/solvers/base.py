r"""What solvers share: the limit of infinite t, and mostly a number of steps."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from torch_geometric_uotp.arguments import check_count
from torch_geometric_uotp.problem import Problem, Solution
from torch_geometric_uotp.semiring import LOG_SUM_EXP, MAX_PLUS, Semiring
from torch_geometric_uotp.transforms import values_known


class Solver(ABC):
    """An algorithm with its settings, applied to a problem by calling it."""

    def __call__(self, problem: Problem) -> Solution:
        """Solve the problem, heads of finite and of infinite t alike."""
        if problem.coefficients.hard is None:
            return self.solve(problem, LOG_SUM_EXP)
        dtype = torch.promote_types(problem.scores.dtype, torch.float32)
        hard = self.solve(problem.select(), MAX_PLUS).to(dtype)
        if _is_hard_alone(problem):
            return hard
        return _join(problem, hard, self.solve(problem.soften(), LOG_SUM_EXP))

    @property
    @abstractmethod
    def table_rows(self) -> int:
        """How many steps can have coefficients of their own."""

    @abstractmethod
    def rows(self, channels: int, normalize: bool) -> dict[str, slice]:
        """Which steps' values of each coefficient the output depends on.

        Args:
            channels (int): C, channels a head.
            normalize (bool): Whether the output is normalised.
        """

    @abstractmethod
    def solve(self, problem: Problem, ring: Semiring) -> Solution:
        """Run the recursion in the given arithmetic."""


@dataclass(frozen=True)
class UnrolledSolver(Solver):
    """A fixed number of steps.

    Args:
        num_steps (int): K. (default: :obj:`4`)

    Raises:
        ValueError: If ``num_steps`` is not a positive integer.
    """

    num_steps: int = 4

    def __post_init__(self) -> None:
        check_count("num_steps", self.num_steps)

    def __str__(self) -> str:
        return f"{type(self).__name__.lower()}, num_steps={self.num_steps}"

    @property
    def table_rows(self) -> int:
        return self.num_steps


def _is_hard_alone(problem: Problem) -> bool:
    """Whether the problem at finite t gives neither a value nor a gradient."""
    heads = problem.coefficients.hard
    assert heads is not None
    return not problem.learns and values_known(heads) and bool(heads.all())


def _join(problem: Problem, hard: Solution, soft: Solution) -> Solution:
    """Take heads of infinite t from ``hard``, the others from ``soft``.

    At infinite t the output no longer depends on the coefficients to first
    order. They borrow the gradient of the soft problem at the finite t that
    :class:`Coefficients` holds for such heads, so that they can leave the limit.
    """
    heads = problem.coefficients.hard
    assert heads is not None
    channels = heads.repeat_interleave(problem.scores.size(-1))
    borrowed = soft.pooled - soft.pooled.detach()
    return Solution(
        pooled=torch.where(channels, hard.pooled + borrowed, soft.pooled),
        segments=problem.segments,
        heads=problem.scores.size(1),
        make_plan=lambda: torch.where(channels, hard.plan, soft.plan),
        make_residual=lambda: torch.where(heads, hard.residual, soft.residual),
    )
