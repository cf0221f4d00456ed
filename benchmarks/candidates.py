r"""Candidate layers: transports of separate scores and values, side by side.

An experiment, not part of the library. What is found good here can become a setting
of the library's layer; what is not stays in the ablation table.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Identity, Linear, Module, ModuleList
from torch_geometric.nn.aggr import Aggregation

from benchmarks.ablation import WithoutTransport, remove_transport
from torch_geometric_uotp import NormalisedScores, Problem, UOTPAggregation
from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.parametrization import LearnedCoefficients
from torch_geometric_uotp.priors import AttentionPrior, UniformPrior
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.solvers.sinkhorn import Sinkhorn

NUM_STEPS = 4


def raw(channels: int) -> Module:
    r"""Scores are the features."""
    return Identity()


def normalised(channels: int) -> Module:
    r"""Scores are the features, normalised in each node."""
    return NormalisedScores(channels)


def mapped(channels: int) -> Module:
    r"""Scores are a learned map of the features, normalised in each node."""
    return NormalisedScores(channels, mapped=True)


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
        pool (Callable): What the channels of a head have in common: one of
            :func:`transported`, :func:`apart` and :func:`competing`.
        width (int, optional): Channels to map the H C outputs to, linearly.
            (default: they are returned as they are)
    """

    def __init__(
        self,
        channels: int,
        heads: tuple[Head, ...],
        pool: Callable[[Problem], Tensor],
        width: int | None = None,
    ) -> None:
        super().__init__()
        self.scores = ModuleList([head.scores(channels) for head in heads])
        attends = any(head.attends for head in heads)
        self.prior = AttentionPrior(channels) if attends else UniformPrior()
        self.attends = torch.tensor([head.attends for head in heads])
        self.sized = torch.tensor([head.sized for head in heads])
        self.coefficient = _learned(heads, pool)
        self.pool = pool
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


def transported(problem: Problem) -> Tensor:
    r"""Within each head its channels compete for the nodes."""
    return Sinkhorn(NUM_STEPS)(problem).pooled


def apart(problem: Problem) -> Tensor:
    r"""Each channel is a softmax of its own: see :class:`WithoutTransport`."""
    return WithoutTransport()(problem).pooled


def competing(problem: Problem) -> Tensor:
    r"""The channels of all heads compete for the nodes, in one transport."""
    problem = problem.explicit()
    assert problem.log_q0 is not None
    first = problem.coefficients.step(0)
    one = Problem.create(
        scores=(problem.scores * first.t.view(-1, 1)).flatten(1).unsqueeze(1),
        segments=problem.segments,
        coefficients=Coefficients(
            torch.ones_like(first.t[:1]).view(1, 1),
            first.r_p.mean().view(1, 1),
            first.r_q.mean().view(1, 1),
        ),
        log_q0=problem.log_q0[:, :1],
        values=problem.values.flatten(1).unsqueeze(1),
    )
    return transported(one)


def _learned(
    heads: tuple[Head, ...], pool: Callable[[Problem], Tensor]
) -> LearnedCoefficients:
    shares = pool is not apart
    t = torch.tensor([head.t for head in heads], dtype=torch.float64)
    r_q = torch.tensor([head.r_q * shares for head in heads], dtype=torch.float64)
    start = Coefficients.from_alphas(1 / t, 1 / t, r_q / (1 - r_q) / t)
    rows = {"t": slice(1), "r_p": slice(shares), "r_q": slice(shares)}
    return LearnedCoefficients(start, rows)


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

Configuration = tuple[tuple[Head, ...], Callable[[Problem], Tensor], bool]
CONFIGURATIONS: dict[str, Configuration] = {
    # heads, what their channels have in common, mapped back to the input's width
    "lnw": (LNW, transported, False),
    "lnw-rq0": (LNW, apart, False),
    "mix": (MIX, transported, False),
    "mix-rq0": (MIX, apart, False),
    "mix-size": (SIZED, transported, False),
    "mix-size-rq0": (SIZED, apart, False),
    "mix-size-linear": (SIZED, transported, True),
    "safe": (SAFE, transported, False),
    "safe-rq0": (SAFE, apart, False),
    "attending-one": (ATTENDING_ONE, transported, False),
    "attending": (ATTENDING, transported, False),
    "attending-rq0": (ATTENDING, apart, False),
    "attending-half": (ATTENDING_HALF, transported, False),
    "attending-linear": (ATTENDING, transported, True),
    "attending-linear-rq0": (ATTENDING, apart, True),
    "attending-half-linear": (ATTENDING_HALF, transported, True),
    "attending-raw": (ATTENDING_RAW, transported, False),
    "attending-single": (ATTENDING[1:2], transported, False),
    "competing-linear": (ATTENDING, competing, True),
    "competing-half-linear": (ATTENDING_HALF, competing, True),
}


def _build(name: str, channels: int) -> HeadsAggregation:
    heads, pool, back = CONFIGURATIONS[name]
    return HeadsAggregation(channels, heads, pool, channels if back else None)


def grouped(
    channels: int, scores: Callable[[int], Module] | None = None, **settings: Any
) -> UOTPAggregation:
    r"""The library's start of groups of channels, without attention, or altered."""
    given = {"node_prior": "uniform", **settings}
    if scores is not None:
        given["scores"] = scores(channels)
    return UOTPAggregation.spread(channels, **given)


def _grouped_apart(channels: int, **settings: Any) -> UOTPAggregation:
    layer = grouped(channels, **settings)
    remove_transport(layer)
    return layer


# Two halves of the channels that start alike, the first times the set's size.
EVEN = {
    **{"heads": 2, "alpha0": 1.0, "alpha1": 1.0, "alpha2": 9.0},
    "size_power": torch.tensor([1.0, 0.0]),
}
GROUPS: dict[str, dict[str, Any]] = {
    "groups2": EVEN,
    "groups2-attention": {**EVEN, "node_prior": "attention"},
    "groups4": {},
    "groups4-attention": {"node_prior": "attention"},
    "groups4-norm": {"scores": normalised},
    "groups4-mapped": {"scores": mapped},
}

BUILDS: dict[str, Callable[[int], Module]] = {
    **{name: partial(_build, name) for name in CONFIGURATIONS},
    **{name: partial(grouped, **given) for name, given in GROUPS.items()},
    **{
        f"{name}-rq0": partial(_grouped_apart, **given)
        for name, given in GROUPS.items()
    },
}


def expansion(name: str) -> int:
    r"""Channels a candidate returns, in multiples of those it reads."""
    if name not in CONFIGURATIONS:
        return 1
    heads, _, back = CONFIGURATIONS[name]
    return 1 if back else len(heads)
