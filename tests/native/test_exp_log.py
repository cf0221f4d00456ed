"""The kernels' exponentials and logarithm, to the last place, for every float32."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from benchmarks.elementary import Elementary, instruction_sets

# What each function is held to, in a wider type, and the largest argument it takes.
REFERENCES = {
    "exp": (np.exp, np.inf),
    "log": (np.log, np.inf),
    "exp2_bounded": (np.exp2, 126),
    "exp2_down": (lambda y: np.where(y < least(y), 0, np.exp2(y)), 1),
}
WIDER = {"float32": np.float64, "float64": np.longdouble}
NARROW = {np.dtype(wide): np.dtype(narrow) for narrow, wide in WIDER.items()}


def least(wide: np.ndarray) -> int:
    """The exponent of the smallest normal number, in the type that is tested."""
    return int(np.finfo(NARROW[wide.dtype]).minexp)


@dataclass(frozen=True)
class Function:
    """A function of one instruction set, and what it should compute."""

    name: str
    dtype: str
    call: Callable[..., object]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        found = np.empty_like(x)
        self.call(torch.from_numpy(x), torch.from_numpy(found))
        return found

    def reference(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            wide: np.ndarray = REFERENCES[self.name][0](x.astype(WIDER[self.dtype]))
        return wide

    def domain(self, x: np.ndarray) -> np.ndarray:
        most = REFERENCES[self.name][1]
        with np.errstate(invalid="ignore"):
            if self.name == "exp2_bounded":
                return x[np.abs(x) <= most]
            return x[~(x > most)]


def ulps(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """How many places of the last digit that a correct result has."""
    info = np.finfo(found.dtype)
    beyond = exact.dtype.type(2) ** info.maxexp
    with np.errstate(all="ignore"):
        # An infinity is the number after the largest.
        found = np.clip(found.astype(exact.dtype), -beyond, beyond)
        exact = np.clip(exact, -beyond, beyond)
        exponent = np.maximum(np.frexp(exact)[1] - 1, info.minexp) - info.nmant
        return np.ldexp(np.abs(found - exact), -exponent)


def worst(function: Function, x: np.ndarray, exact: np.ndarray) -> float:
    """The largest error, in units in the last place; NaN answers only NaN."""
    found = function(x)
    assert np.array_equal(np.isnan(found), np.isnan(exact))
    infinite = np.isinf(x) | (x == 0)
    limits = exact[infinite].astype(x.dtype)
    assert np.array_equal(found[infinite], limits, equal_nan=True)
    return float(np.nanmax(ulps(found, exact), initial=0))


@pytest.fixture(params=REFERENCES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(elementary: Elementary, isa: str) -> Callable[[str, str], Function]:
    def function(name: str, dtype: str) -> Function:
        return Function(name, dtype, elementary.function(isa, f"{name}_{dtype}"))

    return function


def special(dtype: str) -> np.ndarray:
    """Where functions like these go wrong, with the numbers next to each."""
    info = np.finfo(dtype)
    points = [0, info.smallest_subnormal, info.tiny, info.eps, 1, 126, np.inf, info.max]
    points += [0.5**0.5, 2**0.5]
    for bound in (info.maxexp, info.minexp - info.nmant):
        points += [bound, bound * np.log(2)]
    x = np.array([*points, np.nan], dtype)
    with np.errstate(over="ignore"):
        both = [np.nextafter(x, x.dtype.type(way)) for way in (-np.inf, np.inf)]
    x = np.concatenate([x, *both])
    return np.concatenate([x, -x])


@pytest.mark.parametrize("dtype", WIDER)
def test_special_numbers(make, name: str, dtype: str) -> None:
    function = make(name, dtype)
    x = function.domain(special(dtype))
    assert worst(function, x, function.reference(x)) <= 2
    if name != "exp2_bounded":
        assert np.isnan(function(np.full(3, np.nan, dtype))).all()


# What exp_log.h states, to the bit, for every instruction set.
STATED = {
    "exp": {-np.inf: 0, -2e3: 0, 0: 1, 1e-310: 1, 2e3: np.inf, np.inf: np.inf},
    "log": {-np.inf: np.nan, -1: np.nan, 0: -np.inf, 1: 0, np.inf: np.inf},
    "exp2_down": {-np.inf: 0, -1e30: 0, -1023: 0, 0: 1, 1e-310: 1, 1: 2},
}


@pytest.mark.parametrize("dtype", WIDER)
@pytest.mark.parametrize("stated", STATED)
def test_extremes_are_as_stated(make, stated: str, dtype: str) -> None:
    limits = np.array(list(STATED[stated].items()), dtype)
    found = make(stated, dtype)(np.ascontiguousarray(limits[:, 0]))
    np.testing.assert_array_equal(found, limits[:, 1])


@pytest.mark.parametrize("dtype", WIDER)
def test_exp2_down_is_0_or_a_normal_number(make, dtype: str) -> None:
    info = np.finfo(dtype)
    edge = np.array([info.minexp], dtype)
    below = np.nextafter(edge, edge.dtype.type(-np.inf))
    function = make("exp2_down", dtype)
    assert function(edge) == info.tiny
    assert function(below) == 0


def floats(first: int, last: int, stride: int) -> np.ndarray:
    """Every so many of the float32, in the order of their bits."""
    return np.arange(first, last, stride, dtype=np.int64).astype(np.int32).view("f4")


def test_float32_over_its_whole_range(make, name: str) -> None:
    function = make(name, "float32")
    x = function.domain(floats(-(2**31), 2**31, 3989))
    assert len(x) > 500_000
    assert worst(function, x, function.reference(x)) <= 2


@pytest.mark.slow
def test_every_float32(elementary: Elementary, name: str) -> None:
    step, sets = 2**16, instruction_sets()  # what NumPy does with it stays in cache
    calls = [elementary.function(isa, f"{name}_float32") for isa in sets]
    functions = [Function(name, "float32", call) for call in calls]

    def part(first: int) -> list[float]:
        x = functions[0].domain(floats(first, first + step, 1))
        exact = functions[0].reference(x)
        return [worst(function, x, exact) for function in functions]

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        parts = list(pool.map(part, range(-(2**31), 2**31, step)))
    largest = dict(zip(sets, np.max(parts, axis=0).tolist(), strict=True))
    print(f"{name}: units in the last place {largest}")
    assert max(largest.values()) <= 2


def test_float64_over_its_whole_range(make, name: str) -> None:
    if np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        pytest.skip("no type wider than float64 here")
    function, draw = make(name, "float64"), np.random.default_rng(0)
    anywhere = draw.integers(-(2**63), 2**63 - 1, 60_000, dtype=np.int64).view("f8")
    usual, near_one = draw.uniform(-1100, 800, 60_000), 1 + draw.normal(0, 0.2, 60_000)
    x = function.domain(np.concatenate([anywhere, usual, near_one]))
    assert worst(function, x, function.reference(x)) <= 2


def test_an_error_is_seen() -> None:
    exact = np.array([1.0, 3.0, 1e-45, 2.0**130])
    found = np.float32([1 + 2**-23, 3 - 2**-21, 0, np.inf])
    assert ulps(found, exact) == pytest.approx([1, 2, 0.7136, 0], rel=1e-3)
