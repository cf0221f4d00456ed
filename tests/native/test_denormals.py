"""Loading the library and running it leave the process's arithmetic as it was."""

import subprocess
import sys

import pytest

from torch_geometric_uotp import ops

OBSERVE = """
import numpy as np
import torch

def kept():
    one, many = np.float32(1e-40), torch.full((1_000_000,), 1e-40)
    return [
        bool(one + np.float32(0) > 0),  # taken as an argument
        bool(np.float32(1e-38) * np.float32(0.01) > 0),  # given as a result
        bool(np.float64(5e-324) * 1.0 > 0),
        bool((many * torch.ones(1) > 0).all()),  # on every thread
        float(torch.tensor(1e-38) * 0.01) > 0,
    ]

torch.set_num_threads(2)
print(kept())
from torch_geometric_uotp import UOTPAggregation, backend
print(kept())
for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
    x = torch.randn(5000, 16).to(dtype).requires_grad_()
    pooled = UOTPAggregation(16).to(dtype)(x, torch.arange(5000) // 2500)
    pooled.sum().backward()
print(kept())
torch.set_flush_denormal(True)
print(kept())
"""


@pytest.mark.once
@pytest.mark.skipif(not ops.AVAILABLE, reason="the library is not built")
def test_denormals_are_kept() -> None:
    run = [sys.executable, "-W", "ignore", "-c", OBSERVE]
    before, loaded, after, flushed = subprocess.check_output(run, text=True).split(
        "\n"
    )[:4]
    assert before == loaded == after == str([True] * 5)
    assert flushed != before
