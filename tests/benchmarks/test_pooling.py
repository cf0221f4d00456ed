import pytest
import torch

from benchmarks.pooling import (
    DynamicAggregation,
    GatedMixedAggregation,
    GatedScore,
    MixedAggregation,
    SAGReadout,
    squash,
)

INDEX = torch.tensor([0, 0, 0, 1, 1])


def test_mixed_goes_from_max_to_mean():
    x, layer = torch.randn(5, 3), MixedAggregation()
    for weight, expected in (
        (-30.0, x[:3].amax(0)),
        (0.0, (x[:3].amax(0) + x[:3].mean(0)) / 2),
        (30.0, x[:3].mean(0)),
    ):
        layer.weight.data.fill_(weight)
        torch.testing.assert_close(layer(x, INDEX)[0], expected)


def test_gated_mixes_each_set_by_its_own_mean():
    x, layer = torch.randn(5, 3), GatedMixedAggregation(3)
    for rows, pooled in zip((x[:3], x[3:]), layer(x, INDEX), strict=True):
        share = layer.gate(rows.mean(0)).sigmoid()
        mixed = share * rows.mean(0) + (1 - share) * rows.amax(0)
        torch.testing.assert_close(pooled, mixed)


def test_gated_score_is_the_product_of_content_and_gate():
    x, score = torch.randn(5, 3), GatedScore(3)
    product = score.content(x).tanh() * score.gate(x).sigmoid()
    torch.testing.assert_close(score(x), score.score(product))


def test_squash_keeps_directions_and_bounds_lengths():
    s = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    squashed = squash(s)
    lengths = squashed.norm(dim=1)
    torch.testing.assert_close(lengths, torch.tensor([25 / 26, 0.25 / 1.25, 0]))
    torch.testing.assert_close(squashed[0] / lengths[0], torch.tensor([0.6, 0.8]))


def test_one_round_of_dynamic_pooling_is_the_squashed_mean():
    x = torch.randn(5, 3)
    torch.testing.assert_close(
        DynamicAggregation(1)(x, INDEX)[0], squash(x[:3].mean(0))
    )


def test_more_rounds_turn_towards_the_majority():
    x = torch.tensor([[1.0, 0], [1.0, 0], [0, 1.0]])
    index = torch.zeros(3, dtype=torch.long)
    shares = [
        float(v[0, 0] / v[0, 1])
        for v in (DynamicAggregation(rounds)(x, index) for rounds in (1, 2, 5))
    ]
    assert shares[0] == pytest.approx(2)
    assert shares[0] < shares[1] < shares[2]


def test_sagpool_keeps_half_of_a_graph():
    x, layer = torch.randn(4, 3), SAGReadout(3)
    edges = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]])
    index = torch.zeros(4, dtype=torch.long)
    kept = layer.pool(x, edges, batch=index)[0]
    assert kept.shape == (2, 3)
    pooled = layer(x, index, dim_size=1, edge_index=edges)
    torch.testing.assert_close(pooled[0], torch.cat([kept.mean(0), kept.amax(0)]))
