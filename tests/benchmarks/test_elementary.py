import pytest
import torch

import native_build
from benchmarks.elementary import Elementary, instruction_sets


def test_without_a_compiler_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_build, "compiler", lambda: None)
    with pytest.raises(OSError, match="there is no C\\+\\+ compiler"):
        Elementary()


@pytest.mark.skipif(native_build.compiler() is None, reason="there is no C++ compiler")
def test_a_failing_compiler_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_build, "FLAGS", ["-no-such-flag"])
    with pytest.raises(OSError, match="no-such-flag"):
        Elementary()


def test_the_baseline_is_always_there() -> None:
    assert instruction_sets()[0] == "baseline"


def test_functions_read_and_write_tensors(elementary: Elementary) -> None:
    x = torch.randn(101)
    exp = elementary.function("baseline", "exp_float32")
    torch.testing.assert_close(exp(x, torch.empty(101)), x.exp())
    with pytest.raises(ValueError, match="exp_float32 needs contiguous tensors"):
        exp(x[::2], torch.empty(51))
    assert 0 < elementary.seconds("baseline", "multiply_add_float32", 256) < 1e-6
