"""What this machine has, and what the tests could not try on it, by name."""

import os
import platform
from importlib.util import find_spec
from pathlib import Path

import torch

import native_build
from tests import lowered
from tests.instruction_sets import instruction_sets
from torch_geometric_uotp import backend

ROOT = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """Where real data are: the folder UOTP_DATA, else shared/data beside the clone."""
    return Path(os.environ.get("UOTP_DATA", ROOT.parent / "shared" / "data"))


def not_tried() -> list[str]:
    """One line each: what it is, and why it was not tried."""
    absent = [f"{name} kernels: {why}" for name, why in _other_kernels().items()]
    if platform.machine() not in ("arm64", "aarch64"):
        absent.append(f"arm64: this machine is {platform.machine()}")
    gpu = "all tests run on the CPU" if torch.cuda.is_available() else "there is no GPU"
    absent.append(f"CUDA: {gpu}")
    if find_spec("torch_scatter") is None:
        absent.append("torch-scatter, which some tests compare with: not installed")
    if native_build.compiler() is None:
        absent.append("C++ that tests compile: there is no compiler")
    if not data_folder().is_dir():
        absent.append(f"real data: there is no folder {data_folder()} (set UOTP_DATA)")
    return absent


def _other_kernels() -> dict[str, str]:
    """The instruction sets that no test ran with, and why."""
    known, tried = native_build.instruction_sets(), instruction_sets()
    if not tried:
        return dict.fromkeys(known, f"the tests ran on the {backend()} path")
    absent = {name: "not of this CPU" for name in known if name not in tried}
    if lowered.NAME in tried:
        absent["avx512"] += ", on which their code ran with its instructions lowered"
    return absent
