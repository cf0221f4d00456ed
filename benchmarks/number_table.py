r"""Tables of numbers in text files, with errors that say which line is wrong."""

from pathlib import Path

import numpy as np

LARGEST = 2**53  # Whole numbers up to here are exact in double precision.


def read_numbers(path: Path, needed: str, columns: int | None = None) -> np.ndarray:
    r"""Reads lines of as many numbers each, parted by commas.

    Empty lines at the end count for nothing, nor does a missing end of the last line.

    Args:
        path (Path): The file, in UTF-8.
        needed (str): What belongs in it, for messages.
        columns (int, optional): Numbers in a line. (default: as many as in the first)

    Returns:
        numpy.ndarray: float64 of shape [lines, columns].

    Raises:
        ValueError: If the file cannot be read, or a line is empty, of another length or
            no numbers; the message names file and line.
    """
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"'{path}' cannot be read ({error}); needed is {needed}"
        ) from error
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        return np.empty((0, columns or 0))
    try:
        table = np.loadtxt(lines, delimiter=",", ndmin=2, comments=None)
    except ValueError as error:
        raise _refusal(path, lines, needed, columns, str(error)) from error
    if table.shape != (len(lines), columns or table.shape[1]):
        raise _refusal(path, lines, needed, columns, f"it has shape {table.shape}")
    return table


def _refusal(
    path: Path, lines: list[str], needed: str, columns: int | None, otherwise: str
) -> ValueError:
    """What is wrong with the first wrong line, by a slower look at each."""
    width = len(lines[0].split(",")) if columns is None else columns
    for number, line in enumerate(lines, 1):
        if problem := _problem(line, width):
            otherwise = f"line {number}: {problem}"
            break
    return ValueError(f"'{path}' cannot be read ({otherwise}; needed is {needed})")


def _problem(line: str, width: int) -> str | None:
    if not line.strip():
        return "it is empty"
    cells = line.split(",")
    if len(cells) != width:
        return f"it must have as many values as the others, {width} (got {len(cells)})"
    wrong = [cell.strip() for cell in cells if not _is_number(cell)]
    return f"'{wrong[0]:.40}' is no number" if wrong else None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def first(wrong: np.ndarray) -> int:
    r"""The line, from 1, of the first wrong row of a table."""
    return int(wrong.reshape(len(wrong), -1).any(1).argmax()) + 1


def check_finite(path: Path, table: np.ndarray) -> None:
    r"""Refuses infinity, what is infinite in single precision, and NaN.

    Raises:
        ValueError: If there is one; the message names file and line.
    """
    wrong = ~(np.abs(table) <= np.finfo(np.float32).max)
    if wrong.any():
        raise ValueError(
            f"'{path}', line {first(wrong)}: every number must be finite (got "
            f"{table[wrong][0]})"
        )


def check_whole(path: Path, table: np.ndarray) -> None:
    r"""Refuses all but whole numbers that double precision has exactly.

    Raises:
        ValueError: If there is one; the message names file and line.
    """
    wrong = (table != np.round(table)) | ~(np.abs(table) <= LARGEST)
    if wrong.any():
        raise ValueError(
            f"'{path}', line {first(wrong)}: every number must be whole (got "
            f"{table[wrong][0]:g})"
        )
