"""AVX-512's code for machines without AVX-512: ``python -m tests.lowered`` builds it.

Its name tells what it was built from, so that no other is used.
"""

import subprocess
from pathlib import Path

import torch

import native_build
from torch_geometric_uotp import ops

NAME = "avx512-lowered"
FOLDER = Path(__file__).resolve().parents[1] / "build"


def library() -> Path:
    """Where it is, if it was built."""
    return FOLDER / f"lowered-{native_build.digest()[:16]}.so"


def main() -> None:
    """Build it if it is of use here, or say why not."""
    if not ops.AVAILABLE or library().exists():
        return
    if "avx512" in torch.ops.uotp.instruction_sets().split(","):
        return
    print("Compiling AVX-512's code for this machine, which lacks it.", flush=True)
    FOLDER.mkdir(exist_ok=True)
    try:
        native_build.build_lowered(library())
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"It does not compile, and is not tested: {error}")


if __name__ == "__main__":
    main()
