import pytest
import torch
from torch.nn.functional import layer_norm

from torch_geometric_uotp.scores import NormalisedScores


@pytest.mark.parametrize("mapped", [True, False])
def test_is_the_formula(mapped: bool) -> None:
    scores, x = NormalisedScores(3, mapped), torch.randn(5, 3)
    with torch.no_grad():
        scores.norm.weight.uniform_()
        scores.norm.bias.uniform_()
    of = x @ scores.map.weight.T if mapped else x
    expected = layer_norm(of, (3,)) * scores.norm.weight + scores.norm.bias
    torch.testing.assert_close(scores(x), expected)
    assert repr(scores) == ("LN(Wx)" if mapped else "LN(x)")


def test_is_computed_in_the_type_of_the_nodes() -> None:
    scores, x = NormalisedScores(3, mapped=True), torch.randn(5, 3)
    assert scores(x.double()).dtype == torch.double
    torch.testing.assert_close(scores.half()(x), scores.float()(x))


def test_reset_draws_a_new_map() -> None:
    scores = NormalisedScores(3, mapped=True)
    before = scores.map.weight.detach().clone()
    with torch.no_grad():
        scores.norm.bias.uniform_()
    scores.reset_parameters()
    assert not scores.map.weight.equal(before)
    assert scores.norm.bias.eq(0).all()
