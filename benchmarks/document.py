r"""A document of paragraphs, tables and pictures, as Markdown and as HTML.

Text is Markdown of one line, see :func:`benchmarks.inline.inline`.
"""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Protocol

from benchmarks import output
from benchmarks.inline import inline


class Block(Protocol):
    r"""A part of a document."""

    def markdown(self, folder: Path) -> str:
        r"""As Markdown, in a file of ``folder``."""

    def html(self) -> str:
        r"""As HTML that needs no other file."""


@dataclass(frozen=True)
class Heading:
    r"""A heading of level 1, 2 or 3."""

    text: str
    level: int = 2

    def markdown(self, folder: Path) -> str:
        return f"{'#' * self.level} {self.text}"

    def html(self) -> str:
        return f"<h{self.level}>{inline(self.text)}</h{self.level}>"


@dataclass(frozen=True)
class Paragraph:
    r"""A paragraph of text."""

    text: str

    def markdown(self, folder: Path) -> str:
        return self.text

    def html(self) -> str:
        return f"<p>{inline(self.text)}</p>"


@dataclass(frozen=True)
class Table:
    r"""A table of text, its first column to the left, the others to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self, folder: Path) -> str:
        cells = [[_cell(text) for text in row] for row in (self.head, *self.rows)]
        widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
        rule = ["-" * width for width in widths[:1]]
        rule += ["-" * (width - 1) + ":" for width in widths[1:]]
        return "\n".join(
            "| " + " | ".join(_aligned(row, widths)) + " |"
            for row in (cells[0], rule, *cells[1:])
        )

    def html(self) -> str:
        def line(row: Sequence[str], tag: str) -> str:
            return f"<tr>{''.join(f'<{tag}>{inline(c)}</{tag}>' for c in row)}</tr>"

        body = "".join(line(row, "td") for row in self.rows)
        return f"<table>{line(self.head, 'th')}{body}</table>"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]


@dataclass(frozen=True)
class Picture:
    r"""A picture in a PNG file."""

    path: Path
    caption: str

    def markdown(self, folder: Path) -> str:
        place = os.path.relpath(self.path, folder)
        return f"![{self.caption}]({Path(place).as_posix()})"

    def html(self) -> str:
        content = base64.b64encode(self.path.read_bytes()).decode()
        caption = escape(self.caption)
        source = f"data:image/png;base64,{content}"
        return f'<figure><img src="{source}" alt="{caption}"><p>{caption}</p></figure>'


STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}"
    "th,td{padding:.2em .6em;border-bottom:1px solid #ccc;text-align:right}"
    "th:first-child,td:first-child{text-align:left}img{max-width:100%}"
)


def write_markdown(blocks: Sequence[Block], path: Path) -> None:
    r"""Writes a Markdown file; pictures are linked."""
    text = "\n\n".join(block.markdown(path.parent) for block in blocks)
    output.write(path, text + "\n")


def write_html(blocks: Sequence[Block], title: str, path: Path) -> None:
    r"""Writes an HTML file that needs no other."""
    head = f"<meta charset='utf-8'><title>{escape(title)}</title>"
    body = "\n".join(block.html() for block in blocks)
    output.write(path, f"<!doctype html>\n{head}<style>{STYLE}</style>\n{body}\n")
