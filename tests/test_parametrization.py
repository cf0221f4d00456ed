import copy
import math

import pytest
import torch

from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.parametrization import (
    FixedCoefficients,
    FixedWeight,
    LearnedCoefficients,
    LearnedWeight,
)

ROWS = dict.fromkeys(("t", "r_p", "r_q", "rho"), slice(1))


def learned(alpha0=1.0, alpha1=1.0, alpha2=3.0, rho=2.0, rows=ROWS):
    start = Coefficients.from_alphas(alpha0, alpha1, alpha2, rho)
    return LearnedCoefficients(start, rows)


def test_starts_where_it_is_told_to() -> None:
    start = learned()(torch.float64).describe()
    values = {"alpha0": 1.0, "alpha1": 1.0, "alpha2": 3.0, "rho": 2.0}
    for name, value in values.items():
        assert start[name].item() == pytest.approx(value, rel=1e-6)


def test_exact_limits_are_reached_exactly() -> None:
    start = learned(math.inf, 0.0, math.inf)(torch.float32)
    assert (start.t.item(), start.r_p.item(), start.r_q.item()) == (0, 0, 1)
    assert learned(0.0)(torch.float32).describe()["t"].item() == math.inf


@pytest.mark.parametrize("name", ["t", "r_p", "r_q", "rho"])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_adam_moves_them_at_the_rate_of_a_model_and_stays_inside(
    name: str, direction: float
) -> None:
    module = learned()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    values = []
    for _ in range(600):
        value = getattr(module(torch.float32), name)
        values.append(value.item())
        optimizer.zero_grad()
        (direction * value).backward()
        optimizer.step()
    moved = abs(values[100] - values[0])
    assert moved > 0.2
    assert all(0 <= value <= 1024.1 for value in values)
    # Beyond a bound it goes no further than the momentum of ten steps.
    assert -0.05 < getattr(module, name).item() * 4 < 1.05


def test_a_limit_can_be_left_again() -> None:
    module = learned(0.0, math.inf, 0.0)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for _ in range(10):
        coefficients = module(torch.float32)
        optimizer.zero_grad()
        (coefficients.t - coefficients.r_q).sum().backward()
        optimizer.step()
    after = module(torch.float32).describe()
    assert after["t"].item() < 100
    assert after["r_q"].item() > 0.03


def test_reset_goes_back_to_the_start() -> None:
    module = learned()
    before = copy.deepcopy(module.state_dict())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.01)
    assert module.state_dict() != before
    module.reset_parameters()
    assert all(before[name].equal(value) for name, value in module.state_dict().items())


def test_what_has_no_effect_is_no_parameter() -> None:
    module = learned(rows={**ROWS, "r_p": slice(0)})
    assert {name for name, _ in module.named_parameters()} == {"t", "r_q", "rho"}
    assert {name for name, _ in module.named_buffers()} == {"r_p"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "holder", [learned, lambda: FixedCoefficients(learned().start)]
)
def test_half_precision_modules_keep_their_digits(holder, dtype) -> None:
    module = holder().to(dtype)

    def type_of_t() -> torch.dtype:
        (t,) = (
            x for name, x in module.state_dict().items() if name in ("t", "fixed_t")
        )
        return t.dtype

    assert type_of_t() == torch.float32
    module.double()
    assert type_of_t() == torch.float64
    module.float()
    assert type_of_t() == torch.float32


@pytest.mark.parametrize(("saved", "other"), [(0.0, 0.5), (0.5, 0.0)])
def test_what_is_loaded_is_what_was_saved_wherever_it_starts(saved, other) -> None:
    module, loaded = learned(saved), learned(other)
    with torch.no_grad():
        module.t.fill_(0.26)  # beyond either end
    loaded.load_state_dict(module.state_dict())
    ends = module(torch.float32).describe()["t"]
    assert ends.equal(loaded(torch.float32).describe()["t"])
    assert ends.item() == (math.inf if saved == 0 else pytest.approx(1024, rel=1e-4))
    loaded.reset_parameters()
    assert loaded(torch.float32).describe()["alpha0"].item() == pytest.approx(other)


@pytest.mark.parametrize("alpha0", [0.0, 0.5])
def test_states_without_the_end_of_t_are_read_as_before(alpha0: float) -> None:
    module = learned(alpha0)
    state = module.state_dict()
    del state["_extra_state"]
    module.load_state_dict(state)
    assert module(torch.float32).describe()["alpha0"].item() == pytest.approx(alpha0)


@pytest.mark.parametrize(
    ("fixed", "moving"),
    [
        (lambda: FixedCoefficients(learned().start), learned),
        (
            lambda: FixedWeight(torch.ones(2)),
            lambda: LearnedWeight("alpha_s", torch.ones(2)),
        ),
    ],
)
def test_fixed_and_learned_tables_are_not_loaded_for_each_other(fixed, moving) -> None:
    for one, other in ((fixed(), moving()), (moving(), fixed())):
        before = copy.deepcopy(other.state_dict())
        with pytest.raises(RuntimeError, match=r"(?s)Missing key.*fixed_"):
            other.load_state_dict(one.state_dict())
        other.load_state_dict(one.state_dict(), strict=False)
        after = other.state_dict()
        assert all(before[name].equal(value) for name, value in after.items())


def test_fixed_coefficients_are_buffers_of_exact_value() -> None:
    start = Coefficients.from_alphas(1e-6, 0.0, math.inf)
    module = FixedCoefficients(start)
    assert not list(module.parameters())
    assert set(module.state_dict()) == {"fixed_t", "fixed_r_p", "fixed_r_q"}
    values = module(torch.float64)
    assert values.t.item() == pytest.approx(1e6, rel=1e-7)
    assert (values.r_p.item(), values.r_q.item()) == (0, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1e-320, 1.0, 1.0), "'alpha0' must be 0 or at least"),
        ((1, 1, 1, 1e-320), "'rho' and its inverse"),
    ],
)
def test_fixed_coefficients_must_fit_their_type(arguments, message, dtype) -> None:
    start = Coefficients.from_alphas(*arguments)
    torch.set_default_dtype(dtype)
    try:
        with pytest.raises(ValueError, match=f"{message} .*{dtype}"):
            FixedCoefficients(start)
    finally:
        torch.set_default_dtype(torch.float32)


def test_fixed_coefficients_that_just_fit() -> None:
    start = Coefficients.from_alphas(1e-19, 1.0, 1.0)
    assert FixedCoefficients(start)(torch.float32).t.item() == pytest.approx(1e19)
    with pytest.raises(ValueError, match=r"'alpha0' .*at least 5.4e-20 .*1e\+20"):
        FixedCoefficients(Coefficients.from_alphas(1e-20, 1.0, 1.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha0": 1e-6}, "learned 'alpha0' .*1e.06.*learn=False"),
        ({"rho": 1e5}, "learned 'rho' must start at 1024 or below .got 100000"),
        ({"rho": 1e-5}, "learned 'rho' must start at the inverse .*got 1e-05"),
        (
            {"alpha0": torch.zeros(4, 1), "rows": {**ROWS, "t": slice(4)}},
            "shared by all steps .*4",
        ),
    ],
)
def test_starts_that_could_not_be_learned_are_named(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        learned(**arguments)
