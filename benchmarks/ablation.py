r"""Layers from which the transport is taken, and nothing else."""

from torch.nn import Module

from torch_geometric_uotp import Problem, Solution, UOTPAggregation
from torch_geometric_uotp.semiring import Semiring
from torch_geometric_uotp.solvers.base import Solver


class WithoutTransport(Solver):
    r"""Each channel is a softmax of its own, over :math:`t x_{nd} + \log q_{0n}`.

    Channels do not compete for the nodes. What they have in common is t, and the
    node prior, which counts in full.
    """

    table_rows = 1

    def rows(self, channels: int, normalize: bool) -> dict[str, slice]:
        r"""The output depends on t alone."""
        return {"t": slice(1), "r_p": slice(0), "r_q": slice(0)}

    def solve(self, problem: Problem, ring: Semiring) -> Solution:
        r"""Weigh the nodes; every channel has the same mass."""
        problem = problem.explicit()
        t = problem.at_nodes(problem.coefficients.step(0).t)
        z = ring.scores(problem.scores, t) + problem.node_prior.unsqueeze(-1)
        heads, channels = problem.scores.shape[1:]
        zero = z.new_zeros(problem.segments.num_sets, heads)
        return Solution(
            pooled=ring.mean(z, problem.values, problem.segments).flatten(1),
            segments=problem.segments,
            heads=heads,
            make_plan=lambda: ring.weights(z, problem.segments).flatten(1) / channels,
            make_residual=lambda: zero,
        )


def remove_transport(model: Module) -> None:
    r"""Solves every transport of a model without transport."""
    for layer in model.modules():
        if isinstance(layer, UOTPAggregation):
            layer.solver = WithoutTransport()
    freeze_fidelities(model)


def freeze_fidelities(model: Module) -> None:
    r"""Keeps r_p and r_q of every transport where they are."""
    for name, parameter in model.named_parameters():
        if name.endswith((".r_p", ".r_q")):
            parameter.requires_grad_(False)
