r"""Files that are written whole or not at all, and checks of where they are to go."""

import os
import secrets
import tempfile
from pathlib import Path


def write(path: Path, content: bytes | str) -> Path:
    r"""Writes a file; its folder is made if need be.

    The content goes to another file of the same folder, which takes the name when it
    is complete. So a full disk or a process that is killed leaves the old file, or
    none, and never a part of the new one. Two processes may write the same file: one
    of them is the last.

    Raises:
        OSError: If that fails; it names ``path``.
    """
    data = content.encode() if isinstance(content, str) else content
    place = path.resolve()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and not place.is_file():
            place.write_bytes(data)  # A device or a pipe keeps its name.
        else:
            _replace(place, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    return path


def _replace(path: Path, data: bytes) -> None:
    aside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with aside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # Else the name can be on disk before the data.
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def check_folder(path: Path, option: str) -> None:
    r"""Makes a folder that results are to go to, before they are computed.

    Raises:
        ValueError: If it is a file, or cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        _try_to_write(path)
    except OSError as error:
        raise ValueError(
            f"{option} must be a folder that can be written to (got '{path}': "
            f"{error.strerror})"
        ) from error


def check_file(path: Path, option: str) -> None:
    r"""Makes the folder of a file that is to be written.

    Raises:
        ValueError: If the file is a folder, or its folder cannot be made or written to.
    """
    if path.is_dir():
        raise ValueError(f"{option} must be a file (got the folder '{path}')")
    check_folder(path.parent, f"the folder of {option}")


def _try_to_write(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(b"\0")
