r"""Tensors in files: written whole, and read without running what a file says."""

from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from benchmarks import output


def save(path: Path, values: Any) -> None:
    r"""Writes tensors, as :func:`benchmarks.output.write` does.

    Raises:
        OSError: If that fails; it names ``path``.
    """
    content = BytesIO()
    torch.save(values, content)
    output.write(path, content.getvalue())


def load(path: Path) -> Any:
    r"""Reads what :func:`save` has written.

    Raises:
        OSError: If there is no such file.
        ValueError: If it holds something else, or a part.
    """
    content = path.read_bytes()
    try:
        return torch.load(BytesIO(content), weights_only=True)
    except Exception as error:  # torch raises whatever it comes to first
        raise ValueError(
            f"'{path}' is damaged: remove it and run again ({type(error).__name__})"
        ) from error
