import pytest
import torch

from benchmarks.readouts import READOUTS, resolve

INDEX = torch.tensor([0, 0, 0, 2, 2])


@pytest.mark.parametrize("name", READOUTS)
def test_pools_every_set_and_learns(name):
    readout = resolve(name)
    module = readout.build(4)
    x = torch.randn(5, 4, requires_grad=True)
    pooled = module(x, INDEX, dim_size=4)
    assert pooled.shape == (4, 4 * readout.expansion)
    pooled.square().sum().backward()
    assert x.grad is not None
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "pool"), [("mean", torch.mean), ("max", torch.amax), ("sum", torch.sum)]
)
def test_plain_readouts_are_what_they_say(name, pool):
    x = torch.randn(5, 4)
    pooled = resolve(name).build(4)(x, INDEX, dim_size=3)
    torch.testing.assert_close(pooled[0], pool(x[:3], dim=0))
    torch.testing.assert_close(pooled[2], pool(x[3:], dim=0))


def test_an_unknown_name_lists_the_known():
    with pytest.raises(
        ValueError, match=r"no readout 'median' \(choose from: mean, max"
    ):
        resolve("median")
