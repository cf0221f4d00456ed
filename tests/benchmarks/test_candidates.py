import pytest
import torch

from benchmarks.candidates import (
    BUILDS,
    CONFIGURATIONS,
    GROUPS,
    Head,
    HeadsAggregation,
    apart,
    competing,
    normalised,
    transported,
)
from torch_geometric_uotp import UOTPAggregation

INDEX = torch.tensor([0, 0, 0, 1, 1])


def test_a_raw_head_is_the_librarys_layer():
    x = torch.randn(5, 4)
    ours = HeadsAggregation(4, (Head(1.0),), transported)
    torch.testing.assert_close(ours(x, INDEX), UOTPAggregation(4)(x, INDEX))


def test_heads_stand_side_by_side():
    x, heads = torch.randn(5, 4), (Head(0.1), Head(5.0, sized=True))
    both = HeadsAggregation(4, heads, transported)(x, INDEX)
    for number, head in enumerate(heads):
        alone = HeadsAggregation(4, (head,), transported)(x, INDEX)
        torch.testing.assert_close(both[:, 4 * number : 4 * number + 4], alone)


def test_a_sized_head_is_multiplied_by_the_size():
    x = torch.randn(5, 4)
    sized = HeadsAggregation(4, (Head(1.0, sized=True),), transported)(x, INDEX)
    plain = HeadsAggregation(4, (Head(1.0),), transported)(x, INDEX)
    torch.testing.assert_close(sized, plain * torch.tensor([[3.0], [2.0]]))


def test_normalised_scores_do_not_see_norms():
    """A node's weights do not change with its length, its value does."""
    x = torch.randn(5, 4)
    x -= x.mean(1, keepdim=True)  # LayerNorm takes the mean away as well
    layer = HeadsAggregation(4, (Head(1.0, normalised),), transported)
    longer = x * torch.tensor([1.0, 100, 1, 1, 1]).unsqueeze(1)
    slope = (layer(longer, INDEX) - layer(x, INDEX))[0] / (99 * x[1])
    assert ((slope > 0) & (slope < 1)).all()


def test_without_transport_each_channel_is_a_weighted_softmax():
    x, head = torch.randn(5, 4), Head(2.0, attends=True)
    layer = HeadsAggregation(4, (head,), apart)
    weights = (2 * x[:3] + layer.prior(x[:3])).softmax(0)
    torch.testing.assert_close(layer(x, INDEX)[0], (weights * x[:3]).sum(0))


def test_without_transport_or_prior_it_is_the_layer_at_r_q_0():
    x = torch.randn(5, 4)
    layer = HeadsAggregation(4, (Head(2.0),), apart)
    fixed = UOTPAggregation(4, alpha0=0.5, alpha2=0.0)
    torch.testing.assert_close(layer(x, INDEX), fixed(x, INDEX))


def test_heads_that_attend_share_a_prior():
    x, heads = torch.randn(5, 4), (Head(1.0, attends=True), Head(1.0, attends=True))
    pooled = HeadsAggregation(4, heads, transported)(x, INDEX)
    torch.testing.assert_close(pooled[:, :4], pooled[:, 4:])


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_coefficients_start_where_they_are_told(name):
    heads, pool, _ = CONFIGURATIONS[name]
    layer = HeadsAggregation(4, heads, pool)
    found = layer.coefficients()
    assert found["t"][0].tolist() == pytest.approx([head.t for head in heads])
    fidelity = [head.r_q * (pool is not apart) for head in heads]
    assert found["r_q"][0].tolist() == pytest.approx(fidelity)


def test_one_head_competes_with_itself():
    x, heads = torch.randn(5, 4), (Head(1.0),)
    both = [HeadsAggregation(4, heads, pool)(x, INDEX) for pool in (competing, apart)]
    torch.testing.assert_close(both[0], UOTPAggregation(4)(x, INDEX))
    assert not both[1].allclose(both[0])


def test_the_librarys_spread_start_is_one_of_these():
    x = torch.randn(5, 8)
    torch.manual_seed(0)
    ours = UOTPAggregation.spread(8)
    torch.manual_seed(0)
    torch.testing.assert_close(BUILDS["groups4-attention"](8)(x, INDEX), ours(x, INDEX))


@pytest.mark.parametrize("name", GROUPS)
def test_groups_without_transport(name):
    x = torch.randn(5, 8)
    torch.manual_seed(0)
    layer = BUILDS[name](8)
    torch.manual_seed(0)
    without = BUILDS[f"{name}-rq0"](8)
    assert layer(x, INDEX).shape == without(x, INDEX).shape
    assert not layer(x, INDEX).allclose(without(x, INDEX))
