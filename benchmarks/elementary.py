r"""The kernels' elementary functions over tensors, one instruction set at a time."""

import ctypes
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

import native_build

SOURCE = Path(__file__).with_suffix(".cpp")
# The code for AVX-512, on machines without it.
LOWERED = "avx512_lowered"
# Flags of Linux's /proc/cpuinfo that say a machine has an instruction set.
CPU_FLAGS = {"baseline": "", "avx2": "avx2", "avx512": "avx512bw"}


class Elementary:
    r"""``elementary.cpp``, compiled on the spot.

    Args:
        extra (Sequence): More flags for compiling and linking.

    Raises:
        OSError: If there is no C++ compiler, or it fails.
    """

    def __init__(self, extra: Sequence[str] = ()) -> None:
        if native_build.compiler() is None:
            raise OSError("there is no C++ compiler (CXX names one, else g++ is it)")
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "elementary.so"
            try:
                commands = native_build.for_each_isa(SOURCE)
                if LOWERED in instruction_sets():
                    commands.append(native_build.lowered(SOURCE))
                native_build.link(commands, target, ["-shared"], extra)
            except subprocess.CalledProcessError as error:
                raise OSError(f"the compiler failed:\n{error.stderr}") from error
            self._library = ctypes.CDLL(str(target))

    def function(self, isa: str, name: str) -> Callable[..., Tensor]:
        r"""A function of two tensors, what it reads and what it writes.

        Args:
            isa (str): The instruction set, one that this machine has.
            name (str): A function of ``elementary.cpp``, such as ``exp_float32``.
        """
        found = self._library[f"{isa}_{name}"]
        found.argtypes = [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 2

        def call(read: Tensor, written: Tensor, repeats: int = 1) -> Tensor:
            if not (read.is_contiguous() and written.is_contiguous()):
                raise ValueError(f"{name} needs contiguous tensors")
            found(read.data_ptr(), written.data_ptr(), read.numel(), repeats)
            return written

        return call

    def seconds(self, isa: str, name: str, count: int = 4096) -> float:
        r"""What a function takes for one element of a float32 array in cache."""
        read, written, repeats = torch.rand(count), torch.empty(count), 2000
        function = self.function(isa, name)
        times = []
        for _ in range(15):
            started = time.perf_counter()
            function(read, written, repeats)
            times.append(time.perf_counter() - started)
        return median(times) / (count * repeats)


def instruction_sets() -> list[str]:
    r"""Those that are compiled for and that this machine has, lowered ones last."""
    info = Path("/proc/cpuinfo")
    flags = info.read_text() if info.exists() else ""
    compiled = native_build.instruction_sets()
    found = [isa for isa in compiled if CPU_FLAGS[isa] in flags]
    return [*found, LOWERED] if "avx2" in found or "avx2" not in compiled else found
