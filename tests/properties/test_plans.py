"""A plan is a plan: of mass 1, of marginals that add up, and what is averaged with."""

from unittest.mock import patch

import torch
from hypothesis import strategies as st

from tests.properties.batches import batches
from tests.properties.checks import check, for_all
from tests.properties.layers import layers
from tests.properties.tolerances import tolerances
from torch_geometric_uotp import ops


@for_all(data=st.data(), native=st.booleans())
def test_plans_have_mass_one(data, native: bool) -> None:
    batch = data.draw(batches())
    layer = data.draw(layers(batch.channels, kinds=("UOTP", "ROTP")))
    nodes = batch.nodes()
    module = layer.moving(nodes)
    with torch.no_grad(), patch.object(ops, "AVAILABLE", native and ops.AVAILABLE):
        solution = module.solve(nodes.x, **nodes.layout())
        plan = solution.plan.double()
    assert (plan >= 0).all(), f"negative mass: {plan.min()}"
    assert not plan[nodes.left_out].any(), "mass on nodes that are left out"
    eps = torch.finfo(plan.dtype if nodes.x.dtype == torch.double else torch.float).eps
    shape = (nodes.num_sets, layer.heads, batch.channels // layer.heads)
    total = torch.zeros(nodes.num_sets, batch.channels, dtype=torch.double)
    total.index_add_(0, nodes.index, plan)
    full = (nodes.index.bincount(minlength=nodes.num_sets) > 0).double()
    # A sum of entries that are rounded to the type each.
    check(
        total.view(shape).sum(-1), full.unsqueeze(1).expand(shape[:2]), 64 * eps, "mass"
    )
    given = plan.view(-1, *shape[1:]).sum(-1)
    check(solution.node_marginal.double(), given, 64 * eps, "node marginal")
    check(solution.channel_marginal.double(), total, 64 * eps, "channel marginal")


@for_all(data=st.data())
def test_the_output_is_the_average_under_the_plan(data) -> None:
    batch = data.draw(batches(powers=(-20, 6)))
    unnormalised = st.just(False)
    layer = data.draw(layers(batch.channels, ("UOTP", "ROTP"), normalize=unnormalised))
    nodes = batch.nodes()
    with torch.no_grad():
        solution = layer.moving(nodes).solve(nodes.x, **nodes.layout())
        share = solution.plan.double() * nodes.x.double()
    expected = torch.zeros(solution.pooled.shape, dtype=torch.double)
    expected.index_add_(0, nodes.index, share * (batch.channels // layer.heads))
    allowed = tolerances(layer, nodes, nodes.x.dtype)
    check(solution.pooled, expected, allowed.output, "output")
