from pathlib import Path

import pytest

from benchmarks.written import Written, written


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("### What *it* is", "<h3>What <em>it</em> is</h3>"),
        ("#5 is no heading", "<p>#5 is no heading</p>"),
        ("Two\n**lines**", "<p>Two\n<strong>lines</strong></p>"),
        (
            "- one\n- `two`\n  goes on",
            "<ul><li>one</li><li><code>two</code>\n  goes on</li></ul>",
        ),
        (
            "| a | b |\n|---|--:|\n| x\\|y | 1 |",
            "<table><tr><th>a</th><th>b</th></tr><tr><td>x|y</td><td>1</td></tr></table>",
        ),
        ("| a | |", "<table><tr><th>a</th><th></th></tr></table>"),
    ],
)
def test_markdown_passes_through_and_html_is_rendered(text, html):
    (block,) = written(f"\n{text}\n\n")
    assert block.markdown(Path()) == text
    assert block.html() == html


def test_empty_lines_part_blocks():
    assert written("One.\n\n \n- two\n- three\n") == [
        Written("One."),
        Written("- two\n- three"),
    ]
    assert written("\n") == []
