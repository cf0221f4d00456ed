import pytest

from benchmarks.inline import inline


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**bold** and *italic*", "<strong>bold</strong> and <em>italic</em>"),
        ("`a*b*c < d`", "<code>a*b*c &lt; d</code>"),
        ("[the page](a.md#b)", '<a href="a.md#b">the page</a>'),
        ("[`x`](y)", '<a href="y"><code>x</code></a>'),
        ("*see [x](y), `a*b`*", '<em>see <a href="y">x</a>, <code>a*b</code></em>'),
        ("**no *i* more**", "<strong>no <em>i</em> more</strong>"),
        (r"NCI1\* and `\*`", r"NCI1* and <code>\*</code>"),
        ("mean||max, a_b, 2 * 3 * 4 < 5", "mean||max, a_b, 2 * 3 * 4 &lt; 5"),
        ("", ""),
    ],
)
def test_renders_the_markdown_of_a_line(text, html):
    assert inline(text) == html


def test_addresses_are_escaped():
    assert inline('[x](a"b)') == '<a href="a&quot;b">x</a>'
