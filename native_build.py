"""Compiles the native library with nothing but a C++ compiler and torch's headers."""

import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SOURCES = ROOT / "torch_geometric_uotp" / "csrc"
LIBRARY = ROOT / "torch_geometric_uotp" / "_native.so"

# Not -ffast-math: loading a library linked with it turns denormals off for the
# whole process, and minus infinity is a number here.
FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden"]
FLAGS += ["-fno-math-errno", "-fno-trapping-math"]
# The oldest torch whose stable interface is used, 2.10.
TORCH = "-DTORCH_TARGET_VERSION=0x020a000000000000"
X86 = {"baseline": "x86-64", "avx2": "x86-64-v3", "avx512": "x86-64-v4"}


def build(library: Path = LIBRARY) -> str | None:
    """Build the library; return why it was not, or None."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        return "there is no C++ compiler"
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return "torch is not there (build isolation hides it)"
    torch = Path(found.origin).parent
    with tempfile.TemporaryDirectory() as folder:
        try:
            _compile(compiler, torch, Path(folder), library)
        except subprocess.CalledProcessError as error:
            return f"the compiler failed:\n{error.stderr}"
    return None


def _compile(compiler: str, torch: Path, folder: Path, library: Path) -> None:
    x86 = platform.machine() in ("x86_64", "AMD64")
    variants = X86 if x86 else {"baseline": None}
    defined = [*FLAGS, *(["-DUOTP_X86_VARIANTS"] if x86 else [])]
    headers = ["-isystem", str(torch / "include"), TORCH]
    commands = [
        [*defined, "dispatch.cpp"],
        [*defined, *headers, "ops.cpp"],
        *(
            [
                *defined,
                f"-DUOTP_ISA={name}",
                *([f"-march={arch}"] if arch else []),
                "kernels.cpp",
            ]
            for name, arch in variants.items()
        ),
    ]
    objects = [str(folder / f"{number}.o") for number in range(len(commands))]

    def run(command: list[str], target: str) -> None:
        _run([compiler, *command[:-1], "-c", str(SOURCES / command[-1]), "-o", target])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, commands, objects))
    # Linked aside, then moved: a library in use must not be written over.
    linked = folder / library.name
    _run(
        [
            compiler,
            "-shared",
            *objects,
            f"-L{torch / 'lib'}",
            "-ltorch_cpu",
            "-o",
            str(linked),
        ]
    )
    library.unlink(missing_ok=True)
    shutil.move(linked, library)


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


@cache
def built() -> bool:
    """Build the library once in this process, and say which package this is."""
    reason = build()
    if reason is None:
        print("with the native library")
    else:
        LIBRARY.unlink(missing_ok=True)
        print(f"pure Python: {reason}")
    return reason is None


class BuildWithNative(build_py):
    """Build the library before the Python files are collected."""

    def finalize_options(self) -> None:
        """Build now: this is where the files to collect are listed."""
        built()
        super().finalize_options()


class WheelForAnyPython(bdist_wheel):
    """Tag wheels by platform alone: the library does not use Python's interface."""

    def finalize_options(self) -> None:
        """A wheel is of its platform if the library is in it."""
        self.distribution.has_ext_modules = built
        super().finalize_options()

    def get_tag(self) -> tuple[str, str, str]:
        """py3-none, for this platform or for any."""
        return "py3", "none", super().get_tag()[2]


if __name__ == "__main__":
    raise SystemExit(build())
