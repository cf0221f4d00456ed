import pytest

from benchmarks import version
from benchmarks.version import ROOT


@pytest.fixture
def sources(tmp_path, monkeypatch):
    monkeypatch.setattr(version, "ROOT", tmp_path)
    monkeypatch.setattr(version, "PACKAGE", tmp_path / "package")
    for path, text in {
        "package/layer.py": "",
        "package/csrc/kernel.cpp": "",
        "package/notes.txt": "",
        "benchmarks/entry.py": "from benchmarks import used\n",
        "benchmarks/used.py": "import json\nfrom benchmarks.inner import x\n",
        "benchmarks/inner.py": "from benchmarks.entry import y\n",
        "benchmarks/report.py": "from benchmarks import entry\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def current():
    version.code_version.cache_clear()
    return version.code_version(("entry",))


@pytest.mark.parametrize(
    ("path", "matters"),
    [
        ("package/layer.py", True),
        ("package/csrc/kernel.cpp", True),
        ("package/notes.txt", False),
        ("benchmarks/used.py", True),
        ("benchmarks/inner.py", True),
        ("benchmarks/report.py", False),
    ],
)
def test_follows_what_a_result_depends_on(sources, path, matters):
    before = current()
    assert len(before) == 12
    assert current() == before
    with (sources / path).open("a") as file:
        file.write("# changed\n")
    assert (current() != before) == matters


def test_the_suite_depends_on_what_it_runs():
    names = {path.name for path in version._imported(version.ENTRIES)}
    assert {"suite.py", "harness.py", "readouts.py", "landscape.py"} <= names
    assert not {"report.py", "speed.py", "statistics.py"} & names


@pytest.mark.parametrize("entry", ["pretrained", "warm_start"])
def test_commands_of_their_own_records_depend_on_themselves(entry):
    assert ROOT / "benchmarks" / f"{entry}.py" in version._imported((entry,))
    assert version.code_version((entry,)) != version.code_version()
