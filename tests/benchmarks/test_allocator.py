import platform
import subprocess
import sys

import pytest
import torch

from benchmarks.allocator import page_faults

STEPS = """
import torch
from benchmarks.allocator import keep_pages, page_faults
kept = keep_pages()
def step():
    torch.ones(2**24)  # 64 MiB, beyond glibc's own largest threshold
for _ in range(15):
    step()
print(kept, page_faults(step))
"""


def test_new_pages_are_counted() -> None:
    page = 4096
    assert page_faults(lambda: torch.ones(100 * page)) >= 50
    assert page_faults(lambda: None) < 50


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_pages_are_kept() -> None:
    run = [sys.executable, "-c", STEPS]
    kept, faults = subprocess.check_output(run, text=True).split()
    assert kept == "True"
    assert int(faults) < 50
