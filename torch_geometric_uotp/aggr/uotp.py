r"""Pooling as unbalanced optimal transport."""

import math
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.nn.inits import reset

from torch_geometric_uotp.aggr.readout import Readout
from torch_geometric_uotp.aggr.settings import name_of_prior, settings_of_solver
from torch_geometric_uotp.arguments import (
    check_count,
    check_device,
    check_features,
    check_flag,
    check_real,
)
from torch_geometric_uotp.channel_prior import ChannelPrior
from torch_geometric_uotp.coefficients import Coefficients, readable
from torch_geometric_uotp.conventional import setting
from torch_geometric_uotp.nodes import nodes_first, unshared
from torch_geometric_uotp.parametrization import (
    FixedCoefficients,
    LearnedCoefficients,
)
from torch_geometric_uotp.precision import (
    Promoting,
    applied,
    outside_autocast,
    promote,
)
from torch_geometric_uotp.priors import (
    UniformPrior,
    columns,
    hide_left_out,
    log_channel_prior,
    log_or_left_out,
    prior_resolver,
)
from torch_geometric_uotp.problem import Problem, Solution
from torch_geometric_uotp.scores import checked_scores, scored
from torch_geometric_uotp.segments import Segments
from torch_geometric_uotp.size_scaling import SizeScaling
from torch_geometric_uotp.solvers.badmm import BADMM
from torch_geometric_uotp.solvers.resolver import solver_resolver
from torch_geometric_uotp.starts import spread
from torch_geometric_uotp.state import Described, Settings


class UOTPAggregation(Promoting, Described, Readout):
    r"""The unbalanced optimal transport pooling of `"Revisiting Global Pooling
    through the Lens of Optimal Transport" <https://arxiv.org/abs/2201.09191>`_.

    Each set's features X are read as the gains of moving mass from its nodes to
    its channels. Over plans P > 0 of mass 1, with marginals
    :math:`p = P^\top 1` and :math:`q = P 1`,

    .. math::
        \min_P \; -\langle X, P \rangle + \alpha_0 R(P)
        + \alpha_1 \mathrm{KL}(p \,|\, p_0) + \alpha_2 \mathrm{KL}(q \,|\, q_0),

    and each channel's output is its conditional expectation over the nodes,
    :math:`f_d = \sum_n (P_{nd} / p_d) x_{nd}`. The coefficients are learned;
    mean, max, sum, softmax and attention pooling are values of them
    (:meth:`like`).

    Args:
        channels (int): Size of each input sample.
        solver (str): ``sinkhorn``, or ``badmm`` (Bregman ADMM).
            (default: ``sinkhorn``)
        num_steps (int, optional): Unrolled steps. (default: :obj:`4`)
        regularizer (str): R, ``entropy`` (:math:`\langle P, \log P - 1\rangle`)
            or, with BADMM, ``quadratic`` (:math:`\|P\|_F^2`).
            (default: ``entropy``)
        heads (int): Groups the channels are split into, each with coefficients
            and a transport of its own. (default: :obj:`1`)
        alpha0 (float or torch.Tensor): Start (or, with :obj:`learn=False`,
            value) of the regulariser's weight, from 0 to infinity inclusive: a
            number, of shape [heads], or, with :obj:`share_steps=False`, of shape
            [num_steps, heads]. At 0 mass goes to maxima alone, ties share it
            evenly, and any positive ``alpha1`` or ``alpha2`` counts as infinite.
            (default: :obj:`1.0`)
        alpha1 (float or torch.Tensor): Weight of the channel prior, likewise.
            (default: :obj:`1.0`)
        alpha2 (float or torch.Tensor): Weight of the node prior, likewise. It
            starts high, so that no node of large norm takes the whole
            transport. (default: :obj:`9.0`)
        rho (float or torch.Tensor, optional): BADMM's penalty in units of
            ``alpha0``, positive, likewise. (default: with BADMM, :obj:`3.0` for
            the entropy and :obj:`1.0` for the quadratic regulariser)
        learn (bool): Whether the coefficients are parameters, or buffers.
            (default: :obj:`True`)
        share_steps (bool): Whether all steps share their coefficients, as the
            steps of one problem do, or have their own. (default: :obj:`True`)
        node_prior (str or torch.nn.Module): :math:`q_0`: ``uniform``,
            ``attention`` (softmax over the set of
            :math:`w^\top \tanh(V x_n)`), or a module from nodes [..., channels]
            to logits [..., 1] or [..., heads], called in the type of its own
            weights; a logit of -inf leaves a node out, whatever ``alpha2``.
            (default: ``uniform``)
        channel_prior (torch.Tensor, optional): :math:`p_0`, positive, of shape
            [channels]; each head's part is normalised. It is copied into a
            buffer, which does not learn. (default: uniform)
        scores (torch.nn.Module, optional): A map from nodes to what X is in the
            problem above, of the same shape, called in the type of its own
            weights; averaged are the features still. (default: the features)
        normalize (bool): Whether to return f, or the unnormalised
            :math:`C \sum_n P_{nd} x_{nd}` with C channels a head, in which the
            channel marginal scales the output. (default: :obj:`True`)
        size_power (float or torch.Tensor, optional): Start (or value) of the
            power s of a set's size N by which its output is multiplied,
            :math:`N^s`, from 0 to 1, at which averages become sums: a number,
            or of shape [heads]. (default: no such factor)
        tol (float, optional): Solve each set, in double precision, until its
            residual is below this, in place of ``num_steps``; Sinkhorn only.
            (default: :obj:`None`)
        max_steps (int, optional): Steps at most, with ``tol``.
            (default: :obj:`1000`)

    Shapes:
        - **input:** node features :math:`(*, |\mathcal{V}|, F)`, any floating
          type (half precision is computed in float32), index vector
          :math:`(|\mathcal{V}|)` in any order
        - **output:** set features :math:`(*, |\mathcal{G}|, F)` of the same
          type, 0 for an empty set

    Raises:
        ValueError: If an argument is not as above.
    """

    def __init__(
        self,
        channels: int,
        solver: str = "sinkhorn",
        num_steps: int | None = None,
        regularizer: str = "entropy",
        heads: int = 1,
        alpha0: float | Tensor = 1.0,
        alpha1: float | Tensor = 1.0,
        alpha2: float | Tensor = 9.0,
        rho: float | Tensor | None = None,
        learn: bool = True,
        share_steps: bool = True,
        node_prior: str | Module = "uniform",
        channel_prior: Tensor | None = None,
        scores: Module | None = None,
        normalize: bool = True,
        size_power: float | Tensor | None = None,
        tol: float | None = None,
        max_steps: int | None = None,
    ) -> None:
        super().__init__()
        check_count("channels", channels)
        check_count("heads", heads)
        if channels % heads:
            raise ValueError(
                "'channels' must be a multiple of 'heads' (got "
                f"{channels} channels and {heads} heads)"
            )
        check_flag("learn", learn)
        check_flag("share_steps", share_steps)
        check_flag("normalize", normalize)
        self.channels = channels
        self.heads = heads
        self.normalize = normalize
        self.solver = solver_resolver(solver, num_steps, regularizer, tol, max_steps)
        if rho is not None and not isinstance(self.solver, BADMM):
            raise ValueError(f"'rho' needs solver='badmm' (got '{solver}')")
        if isinstance(self.solver, BADMM) and rho is None:
            rho = self.solver.regularizer.rho
        start = Coefficients.from_alphas(alpha0, alpha1, alpha2, rho)
        if tol is not None and not share_steps:
            raise ValueError("'tol' needs share_steps=True (got False)")
        start = start.expand(1 if share_steps else self.solver.table_rows, heads)
        self.coefficient = (
            LearnedCoefficients(start, self._rows(normalize), share_steps)
            if learn
            else FixedCoefficients(start, share_steps)
        )
        self.node_prior = prior_resolver(node_prior, channels, heads)
        self.scores = checked_scores(scores)
        self.size_scaling = (
            None
            if size_power is None
            else SizeScaling(size_power, channels // heads, heads, learn)
        )
        log_p0 = log_channel_prior(channel_prior, channels, heads)
        self.channel_prior = None if log_p0 is None else ChannelPrior(log_p0)

    @classmethod
    def like(cls, name: str, channels: int, **kwargs: Any) -> Self:
        """A layer that now is a conventional pooling, and learns from there.

        Args:
            name (str): ``mean``, ``max``, ``sum``, ``attention`` or ``softmax``.
            channels (int): Size of each input sample.
            **kwargs (optional): Further arguments of the layer, which take
                precedence over those that make it that pooling.

        Raises:
            ValueError: If there is no such pooling here, or the solver does not
                reach it in a finite number of steps.
        """
        return cls(channels, **setting(name, **kwargs))

    @classmethod
    def spread(cls, channels: int, **kwargs: Any) -> Self:
        """A layer of four heads that start as four different poolings.

        See :func:`torch_geometric_uotp.starts.spread`.

        Args:
            channels (int): Size of each input sample, a multiple of four.
            **kwargs (optional): Further arguments, which take precedence.
        """
        return cls(channels, **spread(**kwargs))

    def reset_parameters(self) -> None:
        """Go back to the initial coefficients; draw new weights of what has any."""
        for module in self.children():
            reset(module)

    def settings(self) -> Settings:
        return {
            "channels": int(self.channels),
            "heads": int(self.heads),
            "normalize": bool(self.normalize),
            "share_steps": self.coefficient.shared,
            "node_prior": name_of_prior(self.node_prior),
            "scores": "features" if self.scores is None else "module",
            **settings_of_solver(self.solver),
        }

    def coefficients(self) -> dict[str, Tensor]:
        """The present coefficients, detached, each of shape [steps, heads].

        ``alpha0``, ``alpha1``, ``alpha2`` (and ``rho``), and in the form the
        solvers use ``t``, ``r_p`` and ``r_q``; see
        :class:`torch_geometric_uotp.coefficients.Coefficients`. With
        ``size_power``, that too.
        """
        coefficients: Coefficients = self.coefficient(torch.float64)
        table = coefficients.describe()
        if self.size_scaling is None:
            return table
        return table | {"size_power": self.size_scaling.power(torch.float64)[None]}

    def forward(
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        dim: int = -2,
        node_prior: Tensor | None = None,
    ) -> Tensor:
        """Pool the nodes of each set.

        Args:
            x (torch.Tensor): The nodes' features.
            index (torch.Tensor, optional): The set of each node, in any order.
            ptr (torch.Tensor, optional): The boundaries of contiguous sets.
            dim_size (int, optional): The number of sets.
            dim (int): The axis of the nodes, any but the last.
                (default: :obj:`-2`)
            node_prior (torch.Tensor, optional): :math:`q_0` for this call in
                place of the layer's, of shape [N] or [N, heads]; each set's part
                is normalised. A node of prior 0 is left out, whatever it holds; a
                set that has no others gives 0.

        Raises:
            ValueError: If the input is not as above; nothing is computed then.
        """
        nodes = nodes_first(x, dim, self.channels)
        segments = Segments.build(nodes.size(0), index, ptr, dim_size, x.device)
        pooled = self._pool(nodes, segments, node_prior).pooled
        if x.dim() > 2:
            pooled = pooled.reshape(segments.num_sets, *nodes.shape[1:])
            pooled = pooled.movedim(0, dim)
        return unshared(pooled.to(x.dtype))

    def solve(
        self,
        x: Tensor,
        index: Tensor | None = None,
        ptr: Tensor | None = None,
        dim_size: int | None = None,
        node_prior: Tensor | None = None,
    ) -> Solution:
        """Pool, and keep what the pooling did: plan, marginals, residual.

        Args:
            x (torch.Tensor): The nodes' features, of shape [N, F].
            index, ptr, dim_size, node_prior: As in :meth:`forward`.

        Returns:
            The solution, with ``pooled`` [G, F] as the layer returns it,
            ``plan`` [N, F], ``node_marginal`` [N, heads], ``channel_marginal``
            [G, F] and ``residual`` [G, heads], in float32 or better. What is
            not looked at is not computed.

        Raises:
            ValueError: If the input is not as above.
        """
        check_features("x", x)
        if x.dim() != 2:
            raise ValueError(f"'x' must be of shape [N, F] (got {tuple(x.shape)})")
        nodes = nodes_first(x, 0, self.channels)
        segments = Segments.build(nodes.size(0), index, ptr, dim_size, x.device)
        return self._pool(nodes, segments, node_prior, recorded=True)

    def _rows(self, normalize: bool) -> dict[str, slice]:
        return self.solver.rows(self.channels // self.heads, normalize)

    def _pool(
        self,
        nodes: Tensor,
        segments: Segments,
        node_prior: Tensor | None,
        recorded: bool = False,
    ) -> Solution:
        """Solve for nodes that come first, of shape [N, *, F], of known sets."""
        with outside_autocast(nodes.device):
            problem = self._problem(nodes, segments, node_prior)
            if recorded or not self.normalize:
                problem = problem.projected()
            if recorded:
                problem = problem.recorded()
            solution: Solution = self.solver(problem)
            if recorded:
                solution = solution.of_recorded(problem)
            if not self.normalize:
                solution = replace(solution, pooled=solution.unnormalized())
            if self.size_scaling is None:
                return solution
            pooled = self.size_scaling(solution.pooled, problem.counts())
            return replace(solution, pooled=pooled)

    def _problem(
        self, nodes: Tensor, segments: Segments, node_prior: Tensor | None
    ) -> Problem:
        """State the problem of nodes [N, *, F], leading axes as more heads."""
        copies = math.prod(nodes.shape[1:-1])
        dtype = torch.promote_types(nodes.dtype, torch.float32)
        coefficients: Coefficients = self.coefficient.tables(dtype)
        log_p0 = None
        if self.channel_prior is not None:
            log_p0 = self.channel_prior(dtype).repeat(copies, 1)
        shape = (nodes.size(0), copies * self.heads, self.channels // self.heads)
        log_q0 = self._log_node_prior(nodes, node_prior, dtype)
        if self.scores is not None:
            nodes = hide_left_out(promote(nodes, dtype), log_q0)
        rows = nodes.reshape(shape)
        scores = rows
        if self.scores is not None:
            scores = scored(self.scores, nodes, dtype).reshape(shape)
        return Problem.create(
            scores=scores,
            segments=segments,
            coefficients=coefficients.repeat_heads(copies),
            log_p0=log_p0,
            log_q0=log_q0,
            values=rows,
        )

    def _log_node_prior(
        self, nodes: Tensor, node_prior: Tensor | None, dtype: torch.dtype
    ) -> Tensor | None:
        """The node prior's logarithm up to a constant, a column for each head."""
        if node_prior is None and isinstance(self.node_prior, UniformPrior):
            return None
        if node_prior is not None:
            check_real("node_prior", node_prior)
            check_device("node_prior", node_prior, "x", nodes.device)
        logits = (
            applied(self.node_prior, nodes, dtype)
            if node_prior is None
            else log_or_left_out("node_prior", node_prior.to(dtype))
        )
        if node_prior is not None and logits.dim() == 1:
            logits = logits.unsqueeze(-1)
        return columns(logits, nodes, self.heads)

    def __repr__(self) -> str:
        table = ", ".join(
            f"{name}={readable(value)}" for name, value in self.coefficients().items()
        )
        return (
            f"{type(self).__name__}({self.channels}, solver={self.solver}, "
            f"heads={self.heads}, node_prior={self.node_prior}, {table})"
        )
