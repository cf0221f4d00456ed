r"""Candidate layers: transports of separate scores and values, side by side.

An experiment, not part of the library. What is found good here can become a setting
of the library's layer; what is not stays in the ablation table.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import Identity, LayerNorm, Linear, Module, ModuleList, Sequential
from torch_geometric.nn.aggr import Aggregation

from torch_geometric_uotp import Problem
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.parametrization import LearnedCoefficients
from torch_geometric_uotp.priors import AttentionPrior, UniformPrior
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.semiring import LOG_SUM_EXP
from torch_geometric_uotp.solvers.sinkhorn import Sinkhorn

NUM_STEPS = 4


def raw(channels: int) -> Module:
    r"""Scores are the features."""
    return Identity()


def normalised(channels: int) -> Module:
    r"""Scores are the features, normalised in each node."""
    return LayerNorm(channels)


def mapped(channels: int) -> Module:
    r"""Scores are a learned map of the features, normalised in each node."""
    return Sequential(Linear(channels, channels, bias=False), LayerNorm(channels))


@dataclass(frozen=True)
class Head:
    r"""One transport over all channels.

    Args:
        t (float): Where its inverse temperature starts.
        scores (Callable): Builds the map from features to scores.
        r_q (float): Where its fidelity to the node prior starts.
        sized (bool): Whether its output is multiplied by the size of the set.
        attends (bool): Whether its node prior is that of an attention network, one
            for all heads that attend.
    """

    t: float
    scores: Callable[[int], Module] = raw
    r_q: float = 0.9
    sized: bool = False
    attends: bool = False


class HeadsAggregation(Aggregation):
    r"""Several transports of the same nodes, each over all channels.

    Args:
        channels (int): Size of each input sample, C.
        heads (tuple): The transports, H of them.
        transport (bool): Whether channels compete for the nodes; without, each is a
            softmax of its own, of :math:`t x_{nd} + \log q_{0n}`.
            (default: :obj:`True`)
        width (int, optional): Channels to map the H C outputs to, linearly.
            (default: they are returned as they are)
    """

    def __init__(
        self,
        channels: int,
        heads: tuple[Head, ...],
        transport: bool = True,
        width: int | None = None,
    ) -> None:
        super().__init__()
        self.scores = ModuleList([head.scores(channels) for head in heads])
        attends = any(head.attends for head in heads)
        self.prior = AttentionPrior(channels) if attends else UniformPrior()
        self.attends = torch.tensor([head.attends for head in heads])
        self.sized = torch.tensor([head.sized for head in heads])
        self.coefficient = _learned(heads, transport)
        self.pool = _transported if transport else _softmax
        self.map = Linear(len(heads) * channels, width) if width else Identity()

    def coefficients(self) -> dict[str, Tensor]:
        r"""The present coefficients, of shape [1, H]."""
        described: dict[str, Tensor] = self.coefficient(torch.float64).describe()
        return described

    def forward(
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
    ) -> Tensor:
        segments = Segments.build(x.size(0), index, ptr, dim_size, x.device)
        scores = torch.stack([score(x) for score in self.scores], dim=1)
        problem = Problem.create(
            scores=scores,
            segments=segments,
            coefficients=self.coefficient(x.dtype),
            log_q0=self.prior(x) * self.attends.to(x),
            values=x.unsqueeze(1).expand_as(scores),
        )
        pooled = self.pool(problem).view(-1, *scores.shape[1:])
        sizes = segments.counts.to(x.dtype).view(-1, 1, 1)
        sized = self.sized.to(x.device).view(1, -1, 1)
        mapped_back: Tensor = self.map(
            torch.where(sized, pooled * sizes, pooled).flatten(1)
        )
        return mapped_back


def _transported(problem: Problem) -> Tensor:
    return Sinkhorn(NUM_STEPS)(problem).pooled


def _softmax(problem: Problem) -> Tensor:
    problem, ring = problem.explicit(), LOG_SUM_EXP
    z = ring.scores(problem.scores, problem.coefficients.step(0).t)
    z = z + problem.node_prior.unsqueeze(-1)
    return ring.mean(z, problem.values, problem.segments)


def _learned(heads: tuple[Head, ...], transport: bool) -> LearnedCoefficients:
    t = torch.tensor([head.t for head in heads], dtype=torch.float64)
    r_q = torch.tensor([head.r_q * transport for head in heads], dtype=torch.float64)
    start = Coefficients.from_alphas(1 / t, 1 / t, r_q / (1 - r_q) / t)
    learned = LearnedCoefficients(start, {"t": 1, "r_p": 1, "r_q": 1})
    if not transport:
        learned.r_p.requires_grad_(False)
        learned.r_q.requires_grad_(False)
    return learned


LNW = (Head(2, mapped),)
MIX = (Head(0.05), Head(2, mapped), Head(8))
SIZED = (replace(MIX[0], sized=True), *MIX[1:])
# No raw feature of large norm reaches the scores of any head.
SAFE = (Head(0.05, normalised, sized=True), Head(2, mapped), Head(4, normalised))
ATTENDING_ONE = (SAFE[0], replace(SAFE[1], attends=True), SAFE[2])
# A node that one head learns to ignore is ignored by all.
ATTENDING = tuple(replace(head, attends=True) for head in SAFE)
ATTENDING_HALF = tuple(replace(head, r_q=0.5) for head in ATTENDING)
ATTENDING_RAW = tuple(replace(head, attends=True) for head in SIZED)

CONFIGURATIONS: dict[str, tuple[tuple[Head, ...], bool, bool]] = {
    # heads, transport, mapped back to the width of the input
    "lnw": (LNW, True, False),
    "lnw-rq0": (LNW, False, False),
    "mix": (MIX, True, False),
    "mix-rq0": (MIX, False, False),
    "mix-size": (SIZED, True, False),
    "mix-size-rq0": (SIZED, False, False),
    "mix-size-linear": (SIZED, True, True),
    "safe": (SAFE, True, False),
    "safe-rq0": (SAFE, False, False),
    "attending-one": (ATTENDING_ONE, True, False),
    "attending": (ATTENDING, True, False),
    "attending-rq0": (ATTENDING, False, False),
    "attending-half": (ATTENDING_HALF, True, False),
    "attending-linear": (ATTENDING, True, True),
    "attending-linear-rq0": (ATTENDING, False, True),
    "attending-raw": (ATTENDING_RAW, True, False),
    "attending-single": (ATTENDING[1:2], True, False),
}


def _build(name: str, channels: int) -> HeadsAggregation:
    heads, transport, back = CONFIGURATIONS[name]
    return HeadsAggregation(channels, heads, transport, channels if back else None)


BUILDS: dict[str, Callable[[int], Module]] = {
    name: partial(_build, name) for name in CONFIGURATIONS
}


def expansion(name: str) -> int:
    r"""Channels a candidate returns, in multiples of those it reads."""
    heads, _, back = CONFIGURATIONS[name]
    return 1 if back else len(heads)
