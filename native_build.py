"""Compiles the native library with nothing but a C++ compiler and torch's headers."""

import atexit
import importlib.util
import os
import platform
import runpy
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SOURCES = ROOT / "torch_geometric_uotp" / "csrc"
LIBRARY = ROOT / "torch_geometric_uotp" / "_native.so"

# Not -ffast-math: loading a library linked with it turns denormals off for the
# whole process, and minus infinity is a number here.
FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden"]
FLAGS += ["-fno-math-errno", "-fno-trapping-math"]
# Else the ends of rows are copied by calls, for which the loop around them gives up its
# registers.
FLAGS += ["-fno-tree-loop-distribute-patterns"]
# The oldest torch whose stable interface is used, 2.10.
TORCH = "-DTORCH_TARGET_VERSION=0x020a000000000000"
X86 = {"baseline": "x86-64", "avx2": "x86-64-v3", "avx512": "x86-64-v4"}

# What a compiler is called with for one object: flags, and the source last.
Command = list[str]


def compiler() -> Command | None:
    """The C++ compiler: ``CXX`` with its flags, or g++; None where there is none."""
    words = shlex.split(os.environ.get("CXX", "")) or ["g++"]
    return None if shutil.which(words[0]) is None else words


def instruction_sets() -> dict[str, Command]:
    """The flags of each instruction set that code is compiled for, by its name."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return {"baseline": []}
    return {isa: ["-DUOTP_X86_VARIANTS", f"-march={arch}"] for isa, arch in X86.items()}


def once(source: Path, *flags: str) -> Command:
    """Compiles a source that chooses among the instruction sets."""
    return [*instruction_sets()["baseline"], *flags, str(source)]


def for_each_isa(source: Path, *flags: str) -> list[Command]:
    """Compiles a source for every instruction set, ``UOTP_ISA`` being its name."""
    return [
        [f"-DUOTP_ISA={isa}", *arch, *flags, str(source)]
        for isa, arch in instruction_sets().items()
    ]


def kernels() -> list[Command]:
    """Compiles the kernels, and the choice among them: nothing of torch."""
    return [once(SOURCES / "dispatch.cpp"), *for_each_isa(SOURCES / "kernels.cpp")]


def lowered(source: Path, *flags: str) -> Command:
    """Compile the code for AVX-512 for machines without it, to test it there.

    The few instructions that are not plain vector arithmetic are lowered to lanes
    (``csrc/avx512.h``). The machine must have AVX2, if it is an x86.
    """
    arch = {isa: command[1:] for isa, command in instruction_sets().items()}
    named = ["-DUOTP_ISA=avx512_lowered", "-DUOTP_LOWERED_AVX512", "-Wno-psabi"]
    return [*named, *arch.get("avx2", []), *flags, str(source)]


def build_lowered(library: Path) -> None:
    """Build the kernels of :func:`lowered` as a library of their own.

    ``torch.ops.uotp.use_kernels_of(library)`` takes them in use.

    Raises:
        subprocess.CalledProcessError: If the compiler fails.
    """
    link([lowered(SOURCES / "kernels.cpp")], library, ["-shared"])


def _of_package(module: str) -> dict[str, Any]:
    """What a module of the package defines, without importing the package."""
    return runpy.run_path(str(ROOT / "torch_geometric_uotp" / f"{module}.py"))


def digest() -> str:
    """What the library will say that it is made of, as the package reads it."""
    return str(_of_package("sources")["digest"]())


def torch_folder() -> Path | None:
    """Where torch is installed; None where it is not, or is hidden."""
    found = importlib.util.find_spec("torch")
    return None if found is None or found.origin is None else Path(found.origin).parent


def build(library: Path = LIBRARY, extra: Sequence[str] = ()) -> str | None:
    """Build the library; return why it was not, or None.

    Args:
        library (Path): Where it goes. (default: into the package)
        extra (Sequence): More flags for compiling and linking.
    """
    if compiler() is None:
        return "there is no C++ compiler"
    torch = torch_folder()
    if torch is None:
        return "torch is not there (build isolation hides it)"
    headers = ["-isystem", str(torch / "include"), TORCH]
    named = f'-DUOTP_SOURCES="{digest()}"'
    commands = [once(SOURCES / "ops.cpp", *headers, named), *kernels()]
    linked = ["-shared", f"-L{torch / 'lib'}", "-ltorch_cpu"]
    try:
        link(commands, library, linked, extra)
    except subprocess.CalledProcessError as error:
        return f"the compiler failed:\n{error.stderr}"
    except OSError as error:
        return f"'{library}' cannot be written: {error}"
    return None


def link(
    commands: Sequence[Command],
    target: Path,
    linked: Sequence[str] = (),
    extra: Sequence[str] = (),
) -> None:
    """Compile the objects and link them.

    Args:
        commands (Sequence): One for each object.
        target (Path): The program or library to write.
        linked (Sequence): What the linker is told after the objects.
        extra (Sequence): More flags for compiling and linking.

    Raises:
        subprocess.CalledProcessError: If the compiler fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        objects = [f"{folder}/{number}.o" for number in range(len(commands))]

        def compile_one(command: Command, to: str) -> None:
            _run(*FLAGS, *extra, *command[:-1], "-c", command[-1], "-o", to)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(compile_one, commands, objects))
        linked_to = Path(folder) / target.name
        _run(*extra, *objects, *linked, "-o", str(linked_to))
        place(linked_to, target)


def place(file: Path, target: Path) -> None:
    """Copy a file beside its target, then rename the copy.

    The target may be a library in use: it is whole at any time, and stays if this
    fails.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        shutil.copy(file, aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _run(*arguments: str) -> None:
    command = [*(compiler() or ["g++"]), *arguments]
    subprocess.run(command, check=True, capture_output=True, text=True)


def is_current() -> bool:
    """Whether the checkout's library is whole, and made of what is there now."""
    torch = torch_folder()
    if torch is None or not LIBRARY.is_file():
        return False
    known = torch / "lib" / "libtorch_cpu.so"
    if _of_package("shared_object")["fault"](LIBRARY, known) is not None:
        return False
    made_of = [*SOURCES.iterdir(), Path(__file__), torch / "__init__.py"]
    newest = max(path.stat().st_mtime for path in made_of)
    # The times alone would miss older sources put in place of newer ones.
    return (
        LIBRARY.stat().st_mtime > newest and digest().encode() in LIBRARY.read_bytes()
    )


@cache
def built() -> Path | None:
    """The library to install, if it can be built; say which package this is.

    It is the checkout's, where that is current, else one in a temporary folder:
    the checkout's may be in use.
    """
    library = LIBRARY
    reason: str | None = None
    if not is_current():
        folder = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        library = Path(folder) / LIBRARY.name
        reason = build(library)
    print("with the native library" if reason is None else f"pure Python: {reason}")
    return library if reason is None else None


class BuildWithNative(build_py):
    """Add the library to what is installed, or to the checkout if that is editable."""

    def run(self) -> None:
        """Collect the Python files, and the library if it can be built.

        The checkout's own library is never removed: it may be in use.
        """
        super().run()
        library, target = built(), LIBRARY if self.editable_mode else self._target
        if library is None:
            # A build folder that is used again may hold an old one.
            self._target.unlink(missing_ok=True)
        elif library != target:
            place(library, target)

    @property
    def _target(self) -> Path:
        return Path(self.build_lib) / LIBRARY.relative_to(ROOT)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """All files that are installed."""
        outputs: list[str] = super().get_outputs(include_bytecode)
        if self.editable_mode or built() is None:
            return outputs
        return [*outputs, str(self._target)]

    def get_output_mapping(self) -> dict[str, str]:
        """Which of them an editable installation finds in the checkout."""
        mapping: dict[str, str] = super().get_output_mapping()
        if self.editable_mode and built() is not None:
            mapping[str(self._target)] = str(LIBRARY)
        return mapping


class WheelForAnyPython(bdist_wheel):
    """Tag wheels by platform alone: the library does not use Python's interface."""

    def finalize_options(self) -> None:
        """A wheel is of its platform if the library is in it."""
        self.distribution.has_ext_modules = lambda: built() is not None
        super().finalize_options()

    def get_tag(self) -> tuple[str, str, str]:
        """py3-none, for this platform or for any."""
        return "py3", "none", super().get_tag()[2]


if __name__ == "__main__":
    raise SystemExit(build())
