r"""Newton's method for the Sinkhorn fixed point, on annealed problems."""

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.problem import Problem
from torch_geometric_uotp.semiring import LOG_SUM_EXP
from torch_geometric_uotp.solvers.schur import SchurComplement
from torch_geometric_uotp.solvers.sinkhorn import channel_potential

# The numbers below were chosen by counting passes: docs/convergence.md.
# Annealing starts where r_p r_q t (max x - min x) is at most this,
SOFT = 32.0
# and is left out where plain steps need at most so many a stage.
CHEAP = 4
# A stage at t / 2^k ends at a residual of this times 2^(k/2), and 1 at most.
STAGE = 0.25
# Below this many roundings of t (max x - min x) no residual can be told from 0.
ROUNDINGS = 8
# No potential moves by more in the first step of a stage, as Newton's model is that
# of an exponential; by twice as much in each that goes well.
REACH = 3.0
# Conjugate gradients stop at the root of the residual, and here at the latest.
COARSE = 0.5
# A step may raise the residual to this times the least so far, half of it if the
# step before did not lower that.
ALLOWANCE = 4.0
# Plain steps go on while each leaves less than this part of the residual.
FAST = 0.1


@dataclass(frozen=True)
class Sweep:
    """Both updates of all sets, from channel potentials a, and what they are worth.

    Args:
        b (torch.Tensor): The node potentials, of shape [N, H].
        a (torch.Tensor): The channel potentials that follow, [G, H, C].
        gap (torch.Tensor): What the updates change, less its mean over p.
        residual (torch.Tensor): Half the range of the gap, of shape [G, H].
        system (SchurComplement): The Hessian here.
    """

    b: Tensor
    a: Tensor
    gap: Tensor
    residual: Tensor
    system: SchurComplement

    @classmethod
    def of(cls, problem: Problem, a: Tensor) -> "Sweep":
        """Sweep over an explicit problem with coefficients of each set."""
        segments, at = problem.segments, problem.coefficients.step(0)
        y = problem.scores * problem.at_nodes(at.t).unsqueeze(-1) + segments.gather(a)
        total = y.logsumexp(-1)
        b = problem.at_nodes(at.r_q) * (problem.node_prior - total)
        b = problem.leave_out(b)
        q = segments.shifted_exp(b + total)
        u = (y - total.unsqueeze(-1)).exp()
        system = SchurComplement(u, q, at.r_p * at.r_q, segments)
        after = channel_potential(problem, LOG_SUM_EXP, 0, b)
        gap = after - a
        residual = (gap.amax(-1) - gap.amin(-1)) / 2
        mean = (system.p * gap).sum(-1) / system.p.sum(-1)
        return cls(b, after, gap - mean.unsqueeze(-1), residual, system)


@dataclass(frozen=True)
class State:
    """Where each set and head is: [G, H, C] for potentials, else [G, H].

    Args:
        a (torch.Tensor): Channel potentials to start the next sweep from.
        scale (torch.Tensor): The stage: t is multiplied by it.
        steps (torch.Tensor): Passes so far.
        tried (torch.Tensor): Whether a is the result of a Newton step.
        best (torch.Tensor): The least residual of the stage.
        best_a (torch.Tensor): The plain step from where that was.
        allowance (torch.Tensor): What a Newton step may make of it, as a factor.
        last (torch.Tensor): The residual before a plain step, 0 after another.
        plain (torch.Tensor): Plain steps still to take after a failure.
        penalty (torch.Tensor): How many there will be after the next.
        reach (torch.Tensor): How far a Newton step may move a potential.
        earlier (torch.Tensor): The solution of the stage before.
        earlier_scale (torch.Tensor): Its scale, 0 if there is none.
        prelude (torch.Tensor): Whether plain steps are tried before annealing.
    """

    a: Tensor
    scale: Tensor
    steps: Tensor
    tried: Tensor
    best: Tensor
    best_a: Tensor
    allowance: Tensor
    last: Tensor
    plain: Tensor
    penalty: Tensor
    reach: Tensor
    earlier: Tensor
    earlier_scale: Tensor
    prelude: Tensor

    @classmethod
    def start(cls, a: Tensor, scale: Tensor) -> "State":
        """Before the first sweep, which a plain step follows."""
        zero, infinity = torch.zeros_like(scale), torch.full_like(scale, math.inf)
        return cls(
            a=a,
            scale=scale,
            steps=zero.long(),
            tried=zero.bool(),
            best=infinity,
            best_a=a,
            allowance=zero + ALLOWANCE,
            last=infinity,
            plain=zero,
            penalty=zero + 1,
            reach=zero + REACH,
            earlier=a,
            earlier_scale=zero,
            prelude=zero.bool(),
        )

    def judged(self, sweep: Sweep) -> "State":
        """After a sweep that is not undone."""
        better = sweep.residual < self.best
        return replace(
            self,
            best=torch.where(better, sweep.residual, self.best),
            best_a=torch.where(better.unsqueeze(-1), sweep.a, self.best_a),
            allowance=torch.where(better, ALLOWANCE, self.allowance / 2),
            reach=torch.where(self.tried & better, 2 * self.reach, self.reach),
        )

    def after_plain_step(self, sweep: Sweep) -> "State":
        """Go on from what the sweep gave."""
        return replace(
            self,
            a=sweep.a,
            tried=torch.zeros_like(self.tried),
            last=sweep.residual,
            plain=(self.plain - 1).clamp(min=0),
        )

    def undone(self) -> "State":
        """Back to the best, with plain steps to follow."""
        return replace(
            self,
            a=self.best_a,
            tried=torch.zeros_like(self.tried),
            last=torch.zeros_like(self.last),
            plain=self.penalty,
            penalty=2 * self.penalty,
            reach=torch.full_like(self.reach, REACH),
        )

    def next_stage(self, sweep: Sweep, scale: Tensor) -> "State":
        """Extrapolate to a larger t; without a stage before, potentials grow with t."""
        ahead = (scale - self.scale) / (self.scale - self.earlier_scale)
        a = sweep.a + ahead.unsqueeze(-1) * (sweep.a - self.earlier)
        return replace(
            State.start(a, scale),
            steps=self.steps,
            last=torch.zeros_like(self.last),
            earlier=sweep.a,
            earlier_scale=self.scale,
        )


def choose(mask: Tensor, yes: State, no: State) -> State:
    """One state where the mask [G, H] is set, the other elsewhere."""

    def field(name: str) -> Tensor:
        first, second = getattr(yes, name), getattr(no, name)
        wide = mask.view(*mask.shape, *[1] * (first.dim() - mask.dim()))
        return torch.where(wide, first, second)

    return State(**{f.name: field(f.name) for f in fields(State)})


class AnnealedNewton:
    r"""Solves each set and head of an explicit problem until its own residual is small.

    The unknowns are the channel potentials; node potentials follow from them.
    Plain steps are taken as long as they are fast. Then, from t / 2^k, the
    problem is solved coarsely and t doubled, k times, each start extrapolated
    from the two solutions before. A step solves the linear system of
    :class:`SchurComplement`, inexactly. One that raises the residual too far is
    undone, and plain Sinkhorn steps are taken instead: one, then twice as many
    each time it happens again. Once as many passes have been spent as plain
    steps would need at most, only plain steps follow.

    Args:
        problem (Problem): In double precision.
        tol (float): The residual asked for; where rounding allows no such, a
            few roundings of t (max x - min x) are enough.
        max_steps (int): Passes over a set at most, each both updates or a
            product with the system.
    """

    def __init__(self, problem: Problem, tol: float, max_steps: int):
        self.problem, self.max_steps = problem, max_steps
        start = problem.coefficients.step(0)
        tables = (start.t, start.r_p, start.r_q)
        self.t, self.r_p, self.r_q = (problem.at_sets(table) for table in tables)
        x, segments = problem.scores, problem.segments
        high, low = problem.leave_out(x.amax(-1)), problem.leave_out(-x.amin(-1))
        self.sharpness = self.t * (segments.max(high) + segments.max(low))
        finest = ROUNDINGS * torch.finfo(x.dtype).eps * self.sharpness
        self.tol = finest.nan_to_num(tol).clamp(min=tol)
        self.b = x.new_zeros(x.shape[:2])
        self.solved = torch.ones_like(self.t, dtype=torch.bool)
        self.softest, self.patience = self._plan()
        # The potential of a single node is a constant, which nothing depends on.
        self.open = (problem.counts() > 1).expand(self.t.shape)

    def solve(self) -> tuple[Tensor, Tensor, Tensor]:
        """The node potentials [N, H], whether they solve, and the passes, [G, H]."""
        scores, sets = self.problem.scores, self.problem.segments.num_sets
        a = scores.new_zeros(sets, *scores.shape[1:])
        self.first = State.start(a, self.softest)
        state = replace(
            self.first, scale=torch.ones_like(self.t), prelude=self.softest < 1
        )
        while bool(self.open.any()):
            state = self._step(state)
        return self.problem.leave_out(self.b), self.solved, state.steps

    def _plan(self) -> tuple[Tensor, Tensor]:
        """The scale to start annealing from, and when to go on with plain steps.

        A plain step multiplies the residual by r_p r_q at most, which says how
        many of them are enough.
        """
        rate, half = self.r_p * self.r_q, self.max_steps // 2
        enough = (self.tol / self.sharpness).log() / rate.log()
        enough = torch.where(rate < 1, enough, math.inf)
        halvings = (rate * self.sharpness / SOFT).log2().ceil()
        sharp = halvings.isfinite() & (halvings > 0) & (self.max_steps >= 16)
        cheap = sharp & (enough <= CHEAP * halvings)
        halvings = torch.where(sharp & ~cheap, halvings.clamp(max=half // 2), 0)
        patience = enough.nan_to_num(0).clamp(4, max(4, half)).long()
        return torch.exp2(-halvings), torch.where(cheap, 0, patience)

    def _annealed(self, scale: Tensor) -> Problem:
        tables = self.t * scale, _softer(self.r_p, scale), _softer(self.r_q, scale)
        t, r_p, r_q = (table.unsqueeze(0) for table in tables)
        rows = Coefficients(t, r_p, r_q)
        return replace(self.problem, coefficients=rows)

    def _step(self, state: State) -> State:
        sweep = Sweep.of(self._annealed(state.scale), state.a)
        state = replace(state, steps=state.steps + self.open)
        final, goal = state.scale == 1, self._goal(state.scale)
        # Not "residual < goal": what is no number will never be one.
        reached = ~(sweep.residual >= goal)
        self._close(sweep, final & reached, final & (state.steps >= self.max_steps))
        worse = state.tried & (sweep.residual > state.best * state.allowance)
        late = state.steps >= self.patience
        raised = ~final & (reached | late)
        larger = torch.where(late, 1, 2 * state.scale).clamp(max=1)
        judged = state.judged(sweep)
        slow = sweep.residual >= FAST * state.last
        newton = self.open & ~worse & ~raised & ~late & slow & (state.plain == 0)
        newton = newton & ~state.prelude
        moved = choose(
            newton,
            self._newton_step(judged, sweep, goal, newton),
            judged.after_plain_step(sweep),
        )
        moved = choose(raised, state.next_stage(sweep, larger), moved)
        moved = choose(worse & ~raised, state.undone(), moved)
        begun = replace(self.first, steps=state.steps)
        return choose(state.prelude & slow, begun, moved)

    def _goal(self, scale: Tensor) -> Tensor:
        stage = torch.maximum((STAGE / scale.sqrt()).clamp(max=1), self.tol)
        return torch.where(scale == 1, self.tol, stage)

    def _close(self, sweep: Sweep, reached: Tensor, ended: Tensor) -> None:
        """Take what was found for the sets that are done."""
        closed = self.open & (reached | ended)
        self.b = torch.where(self.problem.segments.gather(closed), sweep.b, self.b)
        self.solved = self.solved & (reached | ~closed)
        self.open = self.open & ~closed

    def _newton_step(
        self, state: State, sweep: Sweep, goal: Tensor, wanted: Tensor
    ) -> State:
        system, residual = sweep.system, sweep.residual
        accuracy = residual.sqrt().clamp(max=COARSE)
        accuracy = torch.maximum(accuracy, 0.3 * goal / residual)
        left = torch.where(state.scale == 1, self.max_steps, self.patience)
        left = left - 1 - state.steps
        v, products = system.solve(system.p * sweep.gap, accuracy, left, wanted)
        # Without mass a channel has no part in the system, and simply follows.
        v = torch.where(system.p > 0, v, sweep.gap)
        part = (state.reach / v.abs().amax(-1)).clamp(max=1)
        return replace(
            state,
            a=state.a + part.unsqueeze(-1) * v,
            steps=state.steps + products,
            tried=torch.ones_like(state.tried),
            last=torch.zeros_like(state.last),
        )


def _softer(fidelity: Tensor, scale: Tensor) -> Tensor:
    """A fidelity alpha / (alpha0 + alpha) where alpha0 is divided by the scale."""
    return scale * fidelity / (1 - fidelity + scale * fidelity)
