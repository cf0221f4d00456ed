import json
import time
from importlib.util import find_spec

import pytest
import torch

import native_build
from benchmarks import limits, scaling, speed, workloads
from benchmarks.timing import CALLS, interleaved, turns
from benchmarks.workloads import Workload, forward_and_backward, kept_for_backward
from torch_geometric_uotp import backend, ops

TINY = Workload("tiny", (3, 4), 8)


def test_contenders_take_turns_of_several_calls_and_warm_up() -> None:
    calls: list[str] = []
    steps = {name: lambda name=name: calls.append(name) for name in "abc"}
    seconds = interleaved(steps, repeats=3, warmup=1)
    assert set(seconds) == set("abc")
    firsts = "".join(calls[::CALLS])
    assert calls == [name for name in firsts for _ in range(CALLS)]
    assert {firsts[i : i + 3] for i in range(0, 12, 3)} == {"abc", "bca", "cab"}


def test_the_first_and_the_last_call_of_a_turn_are_timed() -> None:
    calls = []

    def slow_at_first() -> None:
        calls.append(None)
        time.sleep(0.01 * (len(calls) % CALLS == 1))

    first, last = turns({"it": slow_at_first}, repeats=3, warmup=0)["it"]
    assert first > 0.01 > last


@pytest.mark.parametrize("name", workloads.READOUTS)
def test_every_contender_makes_a_step(name: str) -> None:
    forward_and_backward(name, TINY)()


def test_the_portable_contender_is_portable() -> None:
    found: list[str] = []

    class Spy(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found.append(backend())
            return x

    available = ops.AVAILABLE
    workloads.Portable(Spy())(torch.zeros(1))
    assert [name.split()[0] for name in found] == ["portable"]
    assert available == ops.AVAILABLE


def test_memory_kept_for_backward_is_counted() -> None:
    portable = kept_for_backward("uotp portable", TINY)
    assert portable > 4 * TINY.elements
    if ops.AVAILABLE:
        assert kept_for_backward("uotp", TINY) < portable


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "SPREAD", {"A": TINY, "B": TINY})
    for name in ("BAG", "SMALLEST"):
        monkeypatch.setattr(speed, name, TINY)
    monkeypatch.setattr(speed, "SKEWED", Workload("E", (9, 1), 5))
    monkeypatch.setattr(speed, "BALANCED", Workload("balanced", (5, 5), 5))
    monkeypatch.setattr(speed, "TURNS_OF_SMALLEST", 1)
    monkeypatch.setattr(scaling, "ELEMENTS", 500)
    monkeypatch.setattr(scaling, "TIMED", 1)
    monkeypatch.setattr(limits, "COPIED", 1000)


@pytest.fixture
def compiled(request, monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions to time, where there is a compiler."""
    if native_build.compiler() is not None:
        elementary = request.getfixturevalue("elementary")
        monkeypatch.setattr(limits, "Elementary", lambda: elementary)


@pytest.mark.usefixtures("tiny", "compiled")
def test_writes_what_it_measured(tmp_path, capsys) -> None:
    arguments = ["--repeats", "1", "--quick", "--allocator", "default"]
    assert speed.main([*arguments, "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "speed.json").read_text())
    assert set(found["seconds"]["A"]) == set(workloads.READOUTS)
    assert set(found["cost"]) == {"elements", "channels", "steps"}
    assert found["machine"]["allocator"] == "default"
    assert "two threads on D" not in found
    assert any(name.startswith("POT") for name in found) == bool(find_spec("ot"))
    for name in ("speed.png", "cost.png"):
        assert (tmp_path / name).stat().st_size > 1000
    printed = capsys.readouterr().out
    assert "| published |" in printed
    assert "| A, uotp per step |" in printed or "not measured" in printed


def test_refuses_no_repeats(capsys) -> None:
    assert speed.main(["--repeats", "0"]) == 2
    assert "--repeats must be at least 1" in capsys.readouterr().err
