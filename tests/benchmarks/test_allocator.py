import mmap
import platform
import subprocess
import sys

import pytest

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
    def touch() -> None:
        with mmap.mmap(-1, 100 * mmap.PAGESIZE) as memory:
            for page in range(100):
                memory[page * mmap.PAGESIZE] = 1

    assert page_faults(touch) >= 100


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_pages_are_kept() -> None:
    run = [sys.executable, "-c", STEPS]
    kept, faults = subprocess.check_output(run, text=True).split()
    assert kept == "True"
    assert int(faults) < 50
