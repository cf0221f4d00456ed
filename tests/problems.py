"""Random ragged problems, and the stated objective solved by other means."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.problem import Problem
from torch_geometric_uotp.segments import Segments


def more_if_slow(number: int, few: int) -> list[Any]:
    """Seeds of a test: a few, and the others where slow tests run."""
    slow = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(few, number)]
    return [*range(few), *slow]


@dataclass(frozen=True)
class Alphas:
    """Coefficients of the stated problem, as in the paper."""

    alpha0: float
    alpha1: float
    alpha2: float
    rho: float | None = None

    def table(self) -> Coefficients:
        return Coefficients.from_alphas(self.alpha0, self.alpha1, self.alpha2, self.rho)


def ragged(
    sizes: tuple[int, ...] = (3, 0, 1, 7, 2),
    heads: int = 1,
    channels: int = 4,
    coefficients: Coefficients | None = None,
    scale: float = 1.0,
    prior_scale: float = 1.0,
) -> Problem:
    """A random problem in float64, nodes in no order, with priors of its own."""
    index = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    index = index[torch.randperm(index.numel())]
    if coefficients is None:
        coefficients = Alphas(0.7, 0.4, 1.3, 2.0).table()
    return Problem.create(
        scores=scale * torch.randn(index.numel(), heads, channels, dtype=torch.double),
        segments=Segments.from_index(index, len(sizes)),
        coefficients=coefficients,
        log_p0=prior_scale * torch.randn(heads, channels, dtype=torch.double),
        log_q0=prior_scale * torch.randn(index.numel(), heads, dtype=torch.double),
    )


def members(problem: Problem, number: int) -> Tensor:
    """The nodes of one set."""
    return (problem.segments.index == number).nonzero().flatten()


def alone(problem: Problem, number: int) -> Problem:
    """The problem of one set by itself."""
    nodes = members(problem, number)
    index = torch.zeros(nodes.numel(), dtype=torch.long)
    return Problem.create(
        scores=problem.scores[nodes],
        segments=Segments.from_index(index, 1),
        coefficients=problem.coefficients,
        log_p0=problem.log_p0,
        log_q0=problem.log_q0[nodes],
        values=problem.values[nodes],
    )


def objective(
    plan: Tensor, problem: Problem, alphas: Alphas, quadratic: bool
) -> Tensor:
    """The stated objective at a plan [N, C] of a problem of one set and head."""
    log_plan = plan.clamp(min=1e-300).log()
    regularizer = plan.square() if quadratic else plan * (log_plan - 1)
    p, q = plan.sum(0), plan.sum(1)
    return (
        -(problem.scores[:, 0] * plan).sum()
        + alphas.alpha0 * regularizer.sum()
        + alphas.alpha1 * _divergence(p, problem.log_p0[0])
        + alphas.alpha2 * _divergence(q, problem.log_q0[:, 0])
    )


def _divergence(mass: Tensor, log_prior: Tensor) -> Tensor:
    prior = log_prior.exp()
    log_ratio = mass.clamp(min=1e-300).log() - log_prior
    return (mass * log_ratio - mass + prior).sum()


def minimiser(problem: Problem, alphas: Alphas, quadratic: bool) -> Tensor:
    """The optimal plan [N, C] of a problem of one set and head, by SciPy."""
    start = torch.zeros_like(problem.scores[:, 0])
    return descend(lambda plan: objective(plan, problem, alphas, quadratic), start)


def similarity(plan: Tensor, scores: Tensor) -> Tensor:
    """The structural term of a plan [N, C], from the matrices it is stated with."""
    of_nodes, of_channels = scores @ scores.T, scores.T @ scores
    of_nodes, of_channels = of_nodes / of_nodes.max(), of_channels / of_channels.max()
    return (of_nodes @ plan @ of_channels * plan).sum()


def descend(
    function: Callable[[Tensor], Tensor], start: Tensor, gradient: float = 1e-11
) -> Tensor:
    """The plan [N, C] downhill of softmax(start), by SciPy.

    The simplex is parametrised by a softmax, over which Newton's method with a
    trust region minimises, until the gradient is that small.
    """
    shape = start.shape

    def value(logits: Tensor) -> Tensor:
        return function(logits.softmax(0).view(shape))

    def of_array(function: Callable[[Tensor], Tensor]) -> Callable[..., np.ndarray]:
        return lambda logits: function(torch.from_numpy(logits)).numpy()

    result = minimize(
        of_array(value),
        start.flatten().numpy(),
        method="trust-exact",
        jac=of_array(torch.func.grad(value)),
        hess=of_array(torch.func.hessian(value)),
        options={"gtol": gradient, "maxiter": 2_000},
    )
    return torch.from_numpy(result.x).softmax(0).view(shape)


def conditional_mean(plan: Tensor, values: Tensor) -> Tensor:
    """Each channel's conditional expectation under a plan [N, C]."""
    return (plan * values).sum(0) / plan.sum(0)
