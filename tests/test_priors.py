import pytest
import torch
from torch.nn import Linear
from torch.nn.utils import prune

from torch_geometric_uotp.priors import AttentionPrior, UniformPrior


def test_uniform_prefers_no_node() -> None:
    assert UniformPrior()(torch.randn(2, 5, 3)).eq(0).all()


def test_attention_is_the_formula() -> None:
    prior = AttentionPrior(3, heads=2, hidden_channels=4)
    x = torch.randn(5, 3)
    hidden = torch.tanh(x @ prior.hidden.weight.T + prior.hidden.bias)
    torch.testing.assert_close(prior(x), hidden @ prior.score.weight.T)
    assert prior(torch.randn(7, 5, 3)).shape == (7, 5, 2)


def test_attention_is_computed_in_the_type_of_the_nodes() -> None:
    prior = AttentionPrior(3)
    x = torch.randn(5, 3, dtype=torch.double)
    assert prior(x).dtype == torch.double
    torch.testing.assert_close(prior.half()(x.float()), prior.float()(x.float()))


def test_attention_of_wider_weights_has_gradients() -> None:
    prior = AttentionPrior(3).double()
    prior(torch.randn(5, 3)).sum().backward()
    assert prior.hidden.weight.grad.isfinite().all()


def test_what_is_done_to_its_linear_layers_counts() -> None:
    prior, x = AttentionPrior(3), torch.randn(5, 3)
    prune.l1_unstructured(prior.hidden, "weight", 0.5)
    for _ in range(2):
        prior(x).sum().backward()
    hidden = torch.tanh(x @ (prior.hidden.weight_orig * prior.hidden.weight_mask).T)
    with torch.no_grad():
        prior.hidden.bias.zero_()
    torch.testing.assert_close(prior(x), hidden @ prior.score.weight.T)


class Adapted(Linear):
    """As a low-rank adapter is: more than its weight."""

    def forward(self, x):
        return super().forward(x) + 1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_what_is_more_than_linear_is_called_in_the_type_of_its_weights(dtype) -> None:
    prior, x, seen = AttentionPrior(3), torch.randn(5, 3), []
    prior.hidden = Adapted(3, 3)
    prior.score.register_forward_hook(lambda *_: seen.append(True))
    prior.to(dtype)
    hidden = torch.tanh(prior.hidden(x.to(dtype)).float())
    torch.testing.assert_close(prior(x), prior.score(hidden.to(dtype)).float())
    assert len(seen) == 2
    assert prior(x).dtype == torch.float32


def test_reset_draws_new_weights() -> None:
    prior = AttentionPrior(3)
    before = prior.score.weight.detach().clone()
    prior.reset_parameters()
    assert not prior.score.weight.equal(before)
