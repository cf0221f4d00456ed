"""The kernels, and the library around them, as compilers' sanitizers see them.

The kernels run in a program of their own (``driver.cpp``), which ThreadSanitizer needs:
it would see races in an OpenMP that was not compiled with it. The library runs inside
Python, with AddressSanitizer loaded first, on the tests that call its operators.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import native_build
from benchmarks.elementary import LOWERED

ROOT = Path(__file__).parents[2]
UNDEFINED = ("-fsanitize=undefined", "-fno-sanitize-recover=all")
ADDRESS = ("-fsanitize=address", *UNDEFINED)
SANITIZERS = {"address": ADDRESS, "thread": ("-fsanitize=thread",)}
BATCHES = "20"
# Those that call the library's operators.
LIBRARY_TESTS = (
    "tests/native/test_operators.py",
    "tests/native/test_fixed_point.py",
    "tests/test_ops.py",
)
# -O1: stacks that a person can read, and a third of the time to compile.
FLAGS = ("-O1", "-g")

# Of any number at all: the kernels take exponentials before they know the range of a
# set, and throw them away if it was too large.
EVERYWHERE = """
import sys
import torch
from benchmarks.elementary import Elementary, instruction_sets
elementary = Elementary(sys.argv[1:])
single = torch.arange(-(2**31), 2**31, 65521).int().view(torch.float32)
double = torch.randint(-(2**63), 2**63 - 1, (65536,)).view(torch.float64)
for isa in instruction_sets():
    for name in ("exp", "log", "exp2_bounded"):
        for dtype, x in (("float32", single), ("float64", double)):
            elementary.function(isa, f"{name}_{dtype}")(x, torch.empty_like(x))
    for name, dtype in (("bfloat16", torch.bfloat16), ("float16", torch.float16)):
        half = torch.empty_like(single, dtype=dtype)
        elementary.function(isa, f"store_{name}")(single, half)
        elementary.function(isa, f"load_{name}")(half, torch.empty_like(single))
print("done")
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(native_build.compiler() is None, reason="no C++ compiler"),
]


def build_driver(folder: Path, *flags: str) -> Path:
    commands = [
        native_build.once(Path(__file__).with_name("driver.cpp")),
        *native_build.kernels(),
    ]
    native_build.link(commands, folder / "driver", ["-pthread"], flags)
    return folder / "driver"


def run(*command: str, folder: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-8000:]
    return done.stdout


@pytest.fixture(scope="module", params=SANITIZERS)
def driver(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    return build_driver(folder, *FLAGS, *SANITIZERS[request.param])


def test_kernels_on_random_batches(driver: Path, isa: str) -> None:
    if isa == LOWERED:
        pytest.skip("lowered kernels are a library of their own, not in this program")
    found = run(str(driver), BATCHES, UOTP_ISA=isa)
    assert found == f"{isa}: {BATCHES} batches, the same bits\n"


def test_elementary_functions_of_any_number() -> None:
    flags = (*FLAGS, *UNDEFINED)
    found = run(sys.executable, "-c", EVERYWHERE, *flags, PYTHONPATH=str(ROOT))
    assert found == "done\n"


def found_by_compiler(library: str) -> str:
    command = [*(native_build.compiler() or ["g++"]), f"-print-file-name={library}"]
    return subprocess.check_output(command, text=True).strip()


def test_library_in_python(tmp_path: Path) -> None:
    for name in ("torch_geometric_uotp", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("native_build.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    library = tmp_path / "torch_geometric_uotp" / "_native.so"
    assert native_build.build(library, [*FLAGS, *ADDRESS]) is None
    # The C++ library too, else exceptions thrown by torch are not seen to be caught.
    preload = [found_by_compiler(name) for name in ("libasan.so", "libstdc++.so")]
    found = run(
        *(sys.executable, "-m", "pytest", "--quiet", "--capture=no", *LIBRARY_TESTS),
        folder=tmp_path,
        LD_PRELOAD=" ".join(preload),
        # Python keeps what it allocates to the end.
        ASAN_OPTIONS="detect_leaks=0",
        PYTHONPATH=str(tmp_path),
        UOTP_BACKEND="native",
        UOTP_SLOW="",
    )
    assert " passed" in found
