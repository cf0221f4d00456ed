import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

import native_build
from torch_geometric_uotp import __version__

ROOT = Path(__file__).parents[1]
SOURCES = ("README.md", "LICENSE", "MANIFEST.in", "setup.py", "native_build.py")


IN_USE = b"a library that a process has loaded"
BUILT = b"what the compiler wrote"
# What pip and build call, in isolation (which hides torch) or not.
HOOK = """
import sys
if {isolated}:
    sys.modules["torch"] = None
from setuptools import build_meta
build_meta.build_{kind}({folder!r})
"""
# Writes what it is told to, whatever the sources.
COMPILER = """
import sys
from pathlib import Path
Path(sys.argv[sys.argv.index("-o") + 1]).write_bytes({content!r})
"""


def hook(copy: Path, kind: str, cxx: str, isolated: bool = False) -> Path:
    """Call a hook of the build in a checkout; return what it made."""
    dist = copy / "dist"
    code = HOOK.format(isolated=isolated, kind=kind, folder=str(dist))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=copy,
        env={**os.environ, "CXX": cxx},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (made,) = dist.iterdir()
    return made


def setup(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "setup.py", "--quiet", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def checkout(folder: Path) -> Path:
    """A copy of the sources, without a library."""
    copy = folder / "copy"
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(
        ROOT / "torch_geometric_uotp", copy / "torch_geometric_uotp", ignore=ignored
    )
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    return copy


def test_a_compiler_may_come_with_flags(monkeypatch) -> None:
    python = Path(sys.executable).name
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.setenv("CXX", f"{python} -pthread")
    assert native_build.compiler() == [python, "-pthread"]
    monkeypatch.setenv("CXX", "nowhere++ -pthread")
    assert native_build.compiler() is None


def test_an_unpacked_source_archive_can_be_built(tmp_path: Path) -> None:
    copy = checkout(tmp_path)
    (copy / "torch_geometric_uotp" / "_native.so").write_bytes(IN_USE)
    setup(copy, "sdist", "--dist-dir", str(tmp_path / "dist"))
    (archive,) = (tmp_path / "dist").iterdir()
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    (folder,) = (tmp_path / "unpacked").iterdir()
    assert setup(folder, "--version") == __version__
    kernels = {path.name for path in (ROOT / "torch_geometric_uotp/csrc").iterdir()}
    assert not list(folder.rglob("*.so"))
    unpacked = folder / "torch_geometric_uotp" / "csrc"
    assert {path.name for path in unpacked.iterdir()} == kernels


def compiler(folder: Path) -> str:
    script = folder / "compiler.py"
    script.write_text(COMPILER.format(content=BUILT))
    return f"{sys.executable} {script}"


@pytest.mark.parametrize("kind", ["sdist", "wheel", "editable"])
@pytest.mark.parametrize("why", ["isolated", "no compiler", "failing compiler"])
def test_a_pure_build_leaves_the_library_of_the_checkout(
    tmp_path: Path, kind: str, why: str
) -> None:
    copy = checkout(tmp_path)
    library = copy / "torch_geometric_uotp" / "_native.so"
    library.write_bytes(IN_USE)
    # Older than the sources: not to be installed either.
    os.utime(library, (0, 0))
    cxx = {"no compiler": "nowhere++", "failing compiler": "false"}.get(why)
    made = hook(copy, kind, cxx or compiler(tmp_path), isolated=why == "isolated")
    assert library.read_bytes() == IN_USE
    if kind == "wheel":
        assert made.name.endswith("-py3-none-any.whl")
        assert "_native.so" not in str(zipfile.ZipFile(made).namelist())


def test_an_archive_is_made_without_building(tmp_path: Path) -> None:
    copy = checkout(tmp_path)
    hook(copy, "sdist", compiler(tmp_path))
    assert not list(copy.rglob("*.so"))


def test_a_wheel_has_a_library_of_its_own(tmp_path: Path) -> None:
    copy = checkout(tmp_path)
    library = copy / "torch_geometric_uotp" / "_native.so"
    library.write_bytes(IN_USE)
    made = hook(copy, "wheel", compiler(tmp_path))
    with zipfile.ZipFile(made) as wheel:
        assert wheel.read("torch_geometric_uotp/_native.so") == BUILT
    assert not made.name.endswith("-any.whl")
    assert library.read_bytes() == IN_USE
    made.unlink()
    # The build folder is there again, with the library of before.
    made = hook(copy, "wheel", "nowhere++")
    assert "_native.so" not in str(zipfile.ZipFile(made).namelist())


def test_an_editable_installation_has_the_library_in_place(tmp_path: Path) -> None:
    copy = checkout(tmp_path)
    hook(copy, "editable", compiler(tmp_path))
    library = copy / "torch_geometric_uotp" / "_native.so"
    assert library.read_bytes() == BUILT
    assert not [path for path in library.parent.iterdir() if path.name[0] == "."]


def test_a_failed_copy_leaves_the_target(tmp_path: Path, monkeypatch) -> None:
    def full(source: Path, target: Path) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    library = tmp_path / "_native.so"
    library.write_bytes(IN_USE)
    monkeypatch.setattr(shutil, "copy", full)
    with pytest.raises(OSError, match="No space"):
        native_build.place(tmp_path / "built.so", library)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [IN_USE]


def test_only_a_whole_library_of_these_sources_is_current(
    tmp_path: Path, monkeypatch
) -> None:
    whole = Path(torch._C.__file__).read_bytes()
    library = tmp_path / "_native.so"
    monkeypatch.setattr(native_build, "LIBRARY", library)
    assert not native_build.is_current()
    library.write_bytes(whole + native_build.digest().encode())
    assert native_build.is_current()
    os.utime(library, (0, 0))
    assert not native_build.is_current()
    library.write_bytes(whole + b"of other sources")
    assert not native_build.is_current()
    library.write_bytes(whole[: len(whole) // 2] + native_build.digest().encode())
    assert not native_build.is_current()
