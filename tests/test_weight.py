import pytest
import torch

from torch_geometric_uotp.weight import FixedWeight, LearnedWeight

START = torch.tensor([0.3, 1024.0], dtype=torch.float64)


def learned() -> LearnedWeight:
    return LearnedWeight("alpha_s", START)


def fixed() -> FixedWeight:
    return FixedWeight(START)


@pytest.mark.parametrize("build", [learned, fixed])
def test_starts_and_goes_back(build) -> None:
    module = build()
    for table in (*module.parameters(), *module.buffers()):
        table.data.mul_(0.5)
    module.reset_parameters()
    torch.testing.assert_close(module(torch.float64), START, rtol=2e-4, atol=1e-7)
    assert module(torch.float32).dtype == torch.float32


def test_a_fixed_weight_is_exact_in_every_type() -> None:
    module = fixed().half().double()
    assert module(torch.float64).equal(START)
    assert not list(module.parameters())


def test_each_loads_the_state_of_the_other() -> None:
    half = START / 2
    module = LearnedWeight("alpha_s", half)
    frozen = fixed()
    frozen.load_state_dict(module.state_dict())
    assert frozen(torch.float32).equal(module(torch.float32))
    again = learned()
    again.load_state_dict(FixedWeight(half).state_dict())
    assert again.weight.equal(module.weight)


def test_what_cannot_be_learned_is_named() -> None:
    beyond = torch.tensor([1.0, 2000.0], dtype=torch.float64)
    words = r"learned 'alpha_s' .* 1024 .*2000"
    with pytest.raises(ValueError, match=words):
        LearnedWeight("alpha_s", beyond)
    with pytest.raises(RuntimeError, match=words):
        learned().load_state_dict(FixedWeight(beyond).state_dict())
