r"""What somebody wrote in Markdown, for both outputs of a document."""

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.document import Heading, Paragraph, Table
from benchmarks.inline import inline


@dataclass(frozen=True)
class Written:
    r"""A heading (``#``), a list (``-``), a table (``|``) or else a paragraph.

    Args:
        text (str): In Markdown, without an empty line; that output has it as it is.
    """

    text: str

    def markdown(self, folder: Path) -> str:
        return self.text

    def html(self) -> str:
        if match := re.match(r"(#{1,6}) +", self.text):
            return Heading(self.text[match.end() :], len(match[1])).html()
        if self.text.startswith("- "):
            return _list(self.text)
        if self.text.startswith("|"):
            head, _, *rows = map(_cells, [*self.text.splitlines(), ""])
            return Table(head, [row for row in rows if row]).html()
        return Paragraph(self.text).html()


def written(text: str) -> list[Written]:
    r"""The blocks of a text, which empty lines part."""
    parts = re.split(r"\n\s*\n", text.strip())
    return [Written(part.strip()) for part in parts if part.strip()]


def _list(text: str) -> str:
    _, *items = re.split(r"^- ", text, flags=re.MULTILINE)
    return f"<ul>{''.join(f'<li>{inline(item.strip())}</li>' for item in items)}</ul>"


def _cells(line: str) -> list[str]:
    _, *cells = re.split(r"(?<!\\)\|", line.strip().removesuffix("|"))
    return [cell.strip() for cell in cells]
