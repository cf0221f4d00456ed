import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import native_build
from torch_geometric_uotp.shared_object import MAGIC, fault

KNOWN = Path(torch._C.__file__)

pytestmark = pytest.mark.skipif(
    not KNOWN.read_bytes().startswith(MAGIC), reason="libraries here are not ELF files"
)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return Path(shutil.copy(KNOWN, tmp_path / "library.so"))


def test_a_whole_library_is_right(library: Path) -> None:
    assert fault(library, KNOWN) is None


def test_more_at_its_end_does_no_harm(library: Path) -> None:
    library.write_bytes(library.read_bytes() + b"signature")
    assert fault(library, KNOWN) is None


def test_a_stripped_library_is_right(library: Path) -> None:
    if shutil.which("strip") is None:
        pytest.skip("there is no strip")
    subprocess.run(["strip", str(library)], check=True)
    assert library.stat().st_size != KNOWN.stat().st_size
    assert fault(library, KNOWN) is None


@pytest.mark.parametrize("kept", [20, 40, 64, 200, 0.25, 0.5, 0.75, 0.99])
def test_a_library_cut_short(library: Path, kept: float) -> None:
    whole = library.read_bytes()
    length = int(kept * len(whole)) if kept < 1 else int(kept)
    library.write_bytes(whole[:length])
    assert str(fault(library, KNOWN)).startswith(f"it is cut short, at {length:,} ")


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_library_whose_end_was_never_written(tmp_path: Path, share: float) -> None:
    """Linkers put the table of sections there; tools that patch a library may not."""
    compiler = native_build.compiler()
    if compiler is None:
        pytest.skip("no C++ compiler")
    source, library = tmp_path / "source.cpp", tmp_path / "library.so"
    source.write_text("int one() { return 1; }")
    subprocess.run(
        [*compiler, "-shared", "-fPIC", str(source), "-o", str(library)], check=True
    )
    assert fault(library, KNOWN) is None
    whole = library.read_bytes()
    lost = int(share * len(whole))
    library.write_bytes(whole[:-lost] + bytes(lost))
    assert fault(library, KNOWN) == "its end was overwritten"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is not a shared library"),
        (bytes(5000), "it is not a shared library"),
    ],
)
def test_what_is_no_library(library: Path, content: bytes, reason: str) -> None:
    library.write_bytes(content)
    assert fault(library, KNOWN) == reason


@pytest.mark.parametrize("at", [4, 5, 18])
def test_a_library_for_another_processor(library: Path, at: int) -> None:
    content = bytearray(library.read_bytes())
    content[at] ^= 3
    library.write_bytes(content)
    assert fault(library, KNOWN) == "it is for another processor"


def test_a_folder_and_a_pipe(tmp_path: Path) -> None:
    assert fault(tmp_path, KNOWN) == "it is not a file"
    os.mkfifo(tmp_path / "pipe.so")
    assert fault(tmp_path / "pipe.so", KNOWN) == "it is not a file"


def test_a_file_that_may_not_be_read(library: Path) -> None:
    library.chmod(0)
    if os.access(library, os.R_OK):
        pytest.skip("this user may read any file")
    assert fault(library, KNOWN) == "Permission denied"


def test_where_libraries_are_no_elf_files_only_an_empty_one_is_refused(
    library: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.dylib"
    other.write_bytes(b"\xcf\xfa\xed\xfe")
    assert fault(other, other) is None
    library.write_bytes(b"")
    assert fault(library, other) == "it is empty"
