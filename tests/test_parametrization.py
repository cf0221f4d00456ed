import copy
import math

import pytest
import torch

from torch_geometric_uotp.coefficients import Coefficients
from torch_geometric_uotp.parametrization import (
    FixedCoefficients,
    LearnedCoefficients,
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


def fixed(alpha0=1.0, **kwargs):
    return FixedCoefficients(learned(alpha0, **kwargs).start)


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
def test_a_state_that_does_not_say_where_t_ends_is_incomplete(alpha0: float) -> None:
    module = learned(alpha0)
    state = module.state_dict()
    del state["_extra_state"]
    with pytest.raises(RuntimeError, match=r"Missing key.*_extra_state"):
        module.load_state_dict(state)


@pytest.mark.parametrize("alpha0", [0.0, 0.5])
@pytest.mark.parametrize(("one", "other"), [(learned, fixed), (fixed, learned)])
def test_fixed_and_learned_tables_are_loaded_for_each_other(one, other, alpha0) -> None:
    saved, loaded = one(alpha0), other(2.0, alpha1=7.0, alpha2=5.0, rho=1.5)
    state = saved.state_dict()
    loaded.load_state_dict(state)
    expected = saved(torch.float32).describe()
    for name, value in loaded(torch.float32).describe().items():
        torch.testing.assert_close(value, expected[name])
    assert state.keys() == saved.state_dict().keys()
    loaded.reset_parameters()
    assert loaded(torch.float32).describe()["alpha0"].item() == pytest.approx(2)


@pytest.mark.parametrize(("one", "other"), [(learned, fixed), (fixed, learned)])
def test_tables_that_lack_one_are_incomplete(one, other) -> None:
    with pytest.raises(RuntimeError, match=r"Missing key.*rho"):
        other().load_state_dict(one(rho=None).state_dict())
    with pytest.raises(RuntimeError, match=r"Unexpected key.*rho"):
        other(rho=None).load_state_dict(one().state_dict())


def test_shared_tables_have_no_axis_of_steps() -> None:
    """Optimisers are usually told not to decay what has a single axis."""
    start = Coefficients.from_alphas(torch.ones(2), 1.0, 3.0).expand(1, 2)
    steps = {name: slice(4) for name in ROWS}
    for module in (LearnedCoefficients(start, steps), FixedCoefficients(start)):
        shapes = {table.shape for table in (*module.parameters(), *module.buffers())}
        assert shapes == {(2,)}
        assert module(torch.float32).t.shape == (1, 2)
    start = start.expand(4, 2)
    for module in (
        LearnedCoefficients(start, steps, shared=False),
        FixedCoefficients(start, shared=False),
    ):
        shapes = {table.shape for table in (*module.parameters(), *module.buffers())}
        assert shapes == {(4, 2)}


def test_a_fixed_value_is_exact_in_every_type_it_is_used_in() -> None:
    values = (1e-6, 0.7, 0.123456789)
    module = FixedCoefficients(Coefficients.from_alphas(*values))
    expected = Coefficients.from_alphas(*values)
    for _ in range(3):
        for name in ("t", "r_p", "r_q"):
            assert getattr(module(torch.float64), name).equal(getattr(expected, name))
        module = copy.deepcopy(module).half().double().float().to(torch.bfloat16)


def test_what_a_layer_that_learns_keeps_is_exact_too() -> None:
    module = learned(0.3, 0.7, rows={**ROWS, "r_p": slice(0)}).half()
    assert module(torch.float64).r_p.item() == 0.7 / (0.3 + 0.7)


def test_fixed_coefficients_are_buffers_of_exact_value() -> None:
    start = Coefficients.from_alphas(1e-6, 0.0, math.inf)
    module = FixedCoefficients(start)
    assert not list(module.parameters())
    assert set(module.state_dict()) == {"fixed_t", "fixed_r_p", "fixed_r_q"}
    values = module(torch.float64)
    assert values.t.item() == pytest.approx(1e6, rel=1e-15)
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
    module = FixedCoefficients(start)
    assert module(torch.float32).t.item() == pytest.approx(1e19)
    state = {name: table * 10 for name, table in module.state_dict().items()}
    with pytest.raises(RuntimeError, match="'alpha0' must be 0 or at least"):
        module.load_state_dict(state)
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
