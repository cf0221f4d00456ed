import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import native_build
from torch_geometric_uotp import __version__

ROOT = Path(__file__).parents[1]
SOURCES = ("README.md", "LICENSE", "MANIFEST.in", "setup.py", "native_build.py")


def setup(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "setup.py", "--quiet", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_compiler_may_come_with_flags(monkeypatch) -> None:
    python = Path(sys.executable).name
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.setenv("CXX", f"{python} -pthread")
    assert native_build.compiler() == [python, "-pthread"]
    monkeypatch.setenv("CXX", "nowhere++ -pthread")
    assert native_build.compiler() is None


def test_an_unpacked_source_archive_can_be_built(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(
        ROOT / "torch_geometric_uotp", copy / "torch_geometric_uotp", ignore=ignored
    )
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    setup(copy, "sdist", "--dist-dir", str(tmp_path / "dist"))
    (archive,) = (tmp_path / "dist").iterdir()
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    (folder,) = (tmp_path / "unpacked").iterdir()
    assert setup(folder, "--version") == __version__
    kernels = {path.name for path in (ROOT / "torch_geometric_uotp/csrc").iterdir()}
    unpacked = folder / "torch_geometric_uotp" / "csrc"
    assert {path.name for path in unpacked.iterdir()} == kernels
