r"""The version of the code a result was made with, down to the last character."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "torch_geometric_uotp"
# What runs a task of the suite, directly or through the modules these import; what only
# reads results may change without making them void.
ENTRIES = ("suite",)


@cache
def code_version(entries: tuple[str, ...] = ENTRIES) -> str:
    r"""Twelve hexadecimal digits of the sources that results depend on.

    These are the package, its kernels included, and of the benchmarks the modules
    that ``entries`` import, directly or not.
    """
    digest = hashlib.sha256()
    for path in [*_package(), *_imported(entries)]:
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _package() -> Iterator[Path]:
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in (".py", ".h", ".hpp", ".cpp", ".cc"):
            yield path


def _imported(entries: tuple[str, ...]) -> list[Path]:
    found: set[Path] = set()
    waiting = [_module(name) for name in entries]
    while waiting:
        path = waiting.pop()
        if path.exists() and path not in found:
            found.add(path)
            waiting += map(_module, _imports(ast.parse(path.read_text("utf-8"))))
    return sorted(found)


def _module(name: str) -> Path:
    return ROOT / "benchmarks" / f"{name.removeprefix('benchmarks.')}.py"


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "benchmarks":
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from [node.module] if node.module.startswith("benchmarks.") else ()
