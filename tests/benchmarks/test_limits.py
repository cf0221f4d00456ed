import pytest
import torch

from benchmarks import limits
from benchmarks.limits import Rates, seconds_of_a_byte
from benchmarks.workloads import Workload

WORKLOAD = Workload("w", (30, 20), 20)


def test_shares_are_times_at_the_limit_over_the_time_measured() -> None:
    rates = Rates(exponential=2e-9, multiply_add=1e-9, byte=1e-10)
    threads = torch.get_num_threads()
    shares = rates.shares(1e-4, WORKLOAD, steps=4, shared=True)
    assert shares == pytest.approx(
        {
            "exponentials": 0.04 / threads,
            "multiply-adds": 0.33 / threads,
            "memory": 0.012,
        }
    )
    per_step = rates.shares(1e-4, WORKLOAD, steps=4, shared=False)
    assert per_step["exponentials"] == pytest.approx(4 * shares["exponentials"])


def test_copies_are_timed() -> None:
    assert 1e-13 < seconds_of_a_byte(10**6) < 1e-7


def test_without_a_compiler_nothing_is_claimed(monkeypatch) -> None:
    def refuse(isa: str) -> Rates:
        raise OSError("there is no C++ compiler")

    monkeypatch.setattr(limits.Rates, "measure", refuse)
    found = limits.limits({}, {}, 4)
    assert found == {"not measured": "there is no C++ compiler"}
