"""Whether a shared library's file can be loaded safely; read by the build too."""

import os
import struct
from pathlib import Path
from typing import BinaryIO

MAGIC = b"\x7fELF"
CLASS_64, LITTLE = 2, 1
LOADED, STRING_TABLE = 1, 3


class Damaged(Exception):
    """What is wrong with the file."""


def fault(path: Path, like: Path) -> str | None:
    """Why a library must not be loaded, or None.

    The system's loader believes what an ELF header says. If the file is shorter than
    that, the process ends by a signal (SIGBUS).

    Args:
        path (Path): The library's file.
        like (Path): A library for this machine that loads.
    """
    try:
        if not path.is_file():
            raise Damaged("it is not a file")
        with path.open("rb") as file, like.open("rb") as known:
            _check(file, known)
    except Damaged as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    return None


def _check(file: BinaryIO, known: BinaryIO) -> None:
    start, wanted = file.read(20), known.read(20)
    if not start:
        raise Damaged("it is empty")
    if not wanted.startswith(MAGIC):
        return
    if not start.startswith(MAGIC):
        raise Damaged("it is not a shared library")
    # Word size, byte order and processor. The system's loader says "no such file".
    if (start[4:6], start[18:20]) != (wanted[4:6], wanted[18:20]):
        raise Damaged("it is for another processor")
    if start[4] == CLASS_64:
        _check_length(file, "<" if start[5] == LITTLE else ">")


def _check_length(file: BinaryIO, order: str) -> None:
    """Compare the size with what an ELF header of 64 bits says."""
    size = os.fstat(file.fileno()).st_size

    def read(at: int, layout: str) -> tuple[int, ...]:
        file.seek(at)
        length = struct.calcsize(order + layout)
        found = file.read(length)
        if len(found) < length:
            raise Damaged(f"it is cut short, at {size:,} bytes")
        return struct.unpack(order + layout, found)

    segments, sections = read(32, "QQ")
    entry, count, section_entry, section_count, names = read(54, "5H")
    needed = sections + section_entry * section_count
    for number in range(count):
        kind, _, offset, _, _, length = read(segments + entry * number, "IIQQQQ")
        if kind == LOADED:
            needed = max(needed, offset + length)
    if size < needed:
        raise Damaged(f"it is cut short, at {size:,} of {needed:,} bytes")
    if section_count and read(sections + section_entry * names, "II")[1] != (
        STRING_TABLE
    ):
        raise Damaged("its end was overwritten")
