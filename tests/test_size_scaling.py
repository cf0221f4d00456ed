import pytest
import torch

from torch_geometric_uotp.size_scaling import SizeScaling

SIZES = torch.tensor([2, 0, 4, 1, 0], dtype=torch.double)
COUNTS = SIZES.long().unsqueeze(-1)


def scaling(power, learn: bool = True) -> SizeScaling:
    return SizeScaling(power, channels=3, heads=2, learn=learn)


@pytest.mark.parametrize("power", [0.0, 0.3, 1.0, torch.tensor([0.25, 1.0])])
@pytest.mark.parametrize("copies", [1, 3])
def test_multiplies_by_a_power_of_the_size(power, copies: int) -> None:
    pooled = torch.randn(5, copies * 6, dtype=torch.double)
    found = scaling(power)(pooled, COUNTS)
    powers = torch.as_tensor(power).expand(2).repeat_interleave(3).repeat(copies)
    expected = pooled * SIZES.clamp(min=1)[:, None] ** powers.double()
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=0)


def test_heads_may_count_other_nodes() -> None:
    pooled = torch.randn(5, 6)
    counts = torch.stack([SIZES, 2 * SIZES], -1)
    expected = pooled * counts.float().clamp(min=1).repeat_interleave(3, 1)
    assert scaling(1.0)(pooled, counts).equal(expected)


def test_limits_are_exact() -> None:
    pooled = torch.randn(5, 6)
    assert scaling(0.0)(pooled, COUNTS).equal(pooled)
    sums = pooled * SIZES.float().clamp(min=1)[:, None]
    assert scaling(1.0)(pooled, COUNTS).equal(sums)


def test_gradients() -> None:
    module = scaling(0.5).double()
    pooled = torch.randn(5, 6, dtype=torch.double, requires_grad=True)

    def scaled(pooled: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, {"table": table}, (pooled, COUNTS))

    inputs = (pooled, module.table.detach().requires_grad_())
    assert torch.autograd.gradcheck(scaled, inputs)
    assert torch.autograd.gradgradcheck(scaled, inputs)


@pytest.mark.parametrize(("power", "sign"), [(0.0, -1), (1.0, 1)])
def test_a_limit_can_be_left(power: float, sign: int) -> None:
    module = scaling(power)
    (sign * module(torch.ones(5, 6), COUNTS).sum()).backward()
    assert (sign * module.table.grad > 0).all()


def test_fixed_powers_are_buffers() -> None:
    module = scaling(0.5, learn=False)
    assert not list(module.parameters())
    assert set(module.state_dict()) == {"table"}
    assert module.power(torch.double).tolist() == [0.5, 0.5]


def test_reset_goes_back_to_the_start() -> None:
    module = scaling(0.5)
    with torch.no_grad():
        module.table.add_(0.1)
    module.reset_parameters()
    assert module.power(torch.double).tolist() == [0.5, 0.5]


def test_half_precision_modules_keep_their_digits() -> None:
    assert scaling(0.5).half().table.dtype == torch.float32
    fixed = scaling(1 / 3, learn=False).half()
    assert fixed.power(torch.double).tolist() == [1 / 3, 1 / 3]


@pytest.mark.parametrize("assign", [True, False])
@pytest.mark.parametrize("learn", [True, False])
def test_fixed_and_learned_powers_are_loaded_for_each_other(learn, assign) -> None:
    saved, loaded = scaling(0.5, learn), scaling(0.25, not learn)
    kind = loaded.table.dtype
    loaded.load_state_dict(saved.state_dict(keep_vars=True), assign=assign)
    assert loaded.power(torch.double).tolist() == [0.5, 0.5]
    assert loaded.table.dtype == kind
    assert len(list(loaded.parameters())) == (0 if learn else 1)


@pytest.mark.parametrize(
    ("power", "message"),
    [
        (-0.1, "from 0 to 1 .*-0.1"),
        (1.5, "from 0 to 1 .*1.5"),
        (torch.zeros(3), r"\(2,\) .*\(3,\)"),
        (torch.zeros(1, 2), r"\(2,\) .*\(1, 2\)"),
    ],
)
def test_bad_powers_are_named(power, message: str) -> None:
    with pytest.raises(ValueError, match=f"'size_power' must be .*{message}"):
        scaling(power)
