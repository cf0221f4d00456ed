import pytest
from matplotlib.figure import Figure

from benchmarks.document import (
    Heading,
    Paragraph,
    Picture,
    Table,
    write_html,
    write_markdown,
)


@pytest.fixture
def blocks(tmp_path):
    path = tmp_path / "images" / "some.png"
    path.parent.mkdir()
    Figure((1, 1)).savefig(path)
    table = Table(["readout", "score"], [["mean||max", "1 < 2"], ["uotp", "3"]])
    return [Heading("Results", 1), Paragraph("a & b"), table, Picture(path, "Ranks")]


def test_markdown_links_pictures_and_aligns_tables(blocks, tmp_path):
    path = tmp_path / "docs" / "results.md"
    write_markdown(blocks, path)
    assert path.read_text().split("\n\n") == [
        "# Results",
        "a & b",
        "| readout     | score |\n| ----------- | ----: |\n"
        "| mean\\|\\|max | 1 < 2 |\n| uotp        |     3 |",
        "![Ranks](../images/some.png)\n",
    ]


def test_html_needs_no_other_file(blocks, tmp_path):
    path = tmp_path / "page.html"
    write_html(blocks, "Results <1>", path)
    text = path.read_text()
    for part in (
        "<title>Results &lt;1&gt;</title>",
        "<h1>Results</h1>",
        "<p>a &amp; b</p>",
        "<td>mean||max</td><td>1 &lt; 2</td>",
        'src="data:image/png;base64,iVBOR',
    ):
        assert part in text
