"""Which path runs, and that each of the library's variants is right."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from torch_geometric_uotp import ops

CPU_FLAGS = Path("/proc/cpuinfo")
X86 = platform.machine() in ("x86_64", "AMD64")
NEEDS = {"baseline": "fpu", "avx2": "avx2", "avx512": "avx512bw"}
COMPARE = """
import torch
from unittest.mock import patch
from torch_geometric_uotp import UOTPAggregation, backend, ops
x = torch.randn(500, 24)
index = torch.randint(0, 9, (500,))
badmm = {"solver": "badmm", "share_steps": False}
for options in ({}, badmm, {**badmm, "regularizer": "quadratic"}):
    layer = UOTPAggregation(24, heads=2, **options)
    native = layer(x, index)
    with patch.object(ops, "AVAILABLE", False):
        portable = layer(x, index)
    torch.testing.assert_close(native, portable, rtol=1e-5, atol=1e-5)
print(backend())
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_portable_path_can_be_asked_for() -> None:
    done = run(COMPARE, UOTP_BACKEND="portable")
    assert done.stdout.strip() == "portable (UOTP_BACKEND=portable)", done.stderr


@pytest.mark.parametrize("isa", NEEDS)
def test_each_instruction_set_agrees_with_the_portable_path(isa: str) -> None:
    if not ops.AVAILABLE:
        pytest.skip("the library is not built")
    flags = CPU_FLAGS.read_text() if CPU_FLAGS.exists() else ""
    if isa != "baseline" and not (X86 and NEEDS[isa] in flags):
        pytest.skip(f"this machine has no {isa}")
    done = run(COMPARE, UOTP_ISA=isa)
    assert done.stdout.strip() == f"native ({isa})", done.stderr


@pytest.mark.parametrize("name", ["UOTP_BACKEND", "UOTP_ISA"])
def test_unknown_choices_are_named(name: str) -> None:
    if name == "UOTP_ISA" and not ops.AVAILABLE:
        pytest.skip("the library is not built")
    done = run("import torch_geometric_uotp", **{name: "fast"})
    assert done.returncode == 1
    assert f"ValueError: {name} must be" in done.stderr
    assert "'fast'" in done.stderr
