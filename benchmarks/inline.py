r"""The Markdown inside a line, as HTML."""

import re
from html import escape

PATTERN = re.compile(
    r"""\\(?P<plain>[\\`*|\[\]])
    | `(?P<code>[^`]+)`
    | \*\*(?P<strong>\S(?:`[^`]+`|[^`])*?)\*\*
    | \*(?P<em>[^\s*](?:`[^`]+`|[^`*])*?)\*
    | \[(?P<text>[^\]]+)\]\((?P<address>[^)\s]+)\)""",
    re.VERBOSE,
)


def inline(text: str) -> str:
    r"""``**bold**``, ``*italic*``, ```code```, ``[text](address)`` and ``\*`` as HTML.

    Any other text is as it is, and escaped.
    """
    parts, end = [], 0
    for match in PATTERN.finditer(text):
        parts += [escape(text[end : match.start()]), _html(match)]
        end = match.end()
    return "".join([*parts, escape(text[end:])])


def _html(match: re.Match[str]) -> str:
    kind, content = match.lastgroup, match[match.lastgroup or 0]
    if kind == "address":
        return f'<a href="{escape(content)}">{inline(match["text"])}</a>'
    if kind == "plain":
        return escape(content)
    return f"<{kind}>{escape(content) if kind == 'code' else inline(content)}</{kind}>"
