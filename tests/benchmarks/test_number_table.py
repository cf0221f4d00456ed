import numpy as np
import pytest

from benchmarks.number_table import check_finite, check_whole, read_numbers


@pytest.fixture
def read(tmp_path):
    def read(content, *columns):
        path = tmp_path / "table.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_numbers(path, "two numbers", *columns)

    return read


@pytest.mark.parametrize(
    "content",
    [
        "1, 2\n-3,4e1\n",
        "1,2\n-3,40",  # The last line has no end.
        "1,2\r\n-3,40\r\n",
        "\ufeff1,2\n-3,40\n",
        " 1 ,\t2 \n-3.0,40.\n\n \n",
    ],
)
def test_reads_numbers_however_they_are_written(read, content):
    table = read(content)
    assert table.dtype == np.float64
    assert table.tolist() == [[1, 2], [-3, 40]]


@pytest.mark.parametrize("content", ["", "\n", " \n\n", "\ufeff"])
def test_no_line_is_no_row(read, content):
    assert read(content, 2).shape == (0, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2\n\n3,4\n", r"line 2: it is empty"),
        ("1,2\n3\n", r"line 2: .* as many values as the others, 2 \(got 1\)"),
        ("1,2\n3,4,5\n", r"line 2: .* as many values as the others, 2 \(got 3\)"),
        ("1\n2\n", r"line 1: .* \(got 1\)"),
        ("1 2\n", r"line 1: .* \(got 1\)"),
        ("1,2\n3,x\n", r"line 2: 'x' is no number"),
        ("1,\n", r"line 1: '' is no number"),
        ("1,2\n# a, comment\n", r"line 2: '# a' is no number"),
        ("1,1_000\n", r"line 1: '1_000' is no number"),
        ('"1","2"\n', r"""line 1: '"1"' is no number"""),
        (b"\xff\xfe1,2", r"can't decode"),
        ("\0\0\0", r"line 1"),
    ],
)
def test_says_which_line_is_wrong_and_what_is_needed(read, content, message):
    with pytest.raises(ValueError, match=rf"table.txt' cannot be read \(.*{message}"):
        read(content, 2)
    with pytest.raises(ValueError, match=r"needed is two numbers"):
        read(content, 2)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none.txt' cannot be read .*needed is that"):
        read_numbers(tmp_path / "none.txt", "that")


def test_checks_name_the_line(tmp_path):
    path = tmp_path / "t.txt"
    check_whole(path, np.array([[1.0, -2], [0, 2**53]]))
    check_finite(path, np.array([[1.5, -3e38]]))
    for wrong in (0.5, 2.0**54, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"t.txt', line 2: .* must be whole"):
            check_whole(path, np.array([[1.0], [wrong]]))
    for wrong in (np.nan, -np.inf, 1e39):
        with pytest.raises(ValueError, match=r"t.txt', line 2: .* must be finite"):
            check_finite(path, np.array([[1.0, 2], [1, wrong]]))
