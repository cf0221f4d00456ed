import errno
import os
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from benchmarks import (
    bag_figure,
    gallery,
    graph_classification,
    imitation,
    output,
    report,
    speed,
    suite,
    warm_start,
)
from benchmarks.curves import save


def test_writes_text_and_bytes_into_a_new_folder(tmp_path):
    path = tmp_path / "a" / "b" / "file.md"
    assert output.write(path, "α\n") == path
    assert path.read_bytes() == "α\n".encode()
    output.write(path, b"\0")
    assert path.read_bytes() == b"\0"
    assert [*path.parent.iterdir()] == [path]


def test_a_file_has_the_permissions_of_any_new_file(tmp_path):
    output.write(tmp_path / "one", "")
    (tmp_path / "other").touch()
    one, other = ((tmp_path / name).stat().st_mode for name in ("one", "other"))
    assert one == other


def test_a_link_keeps_its_place(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    output.write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_a_device_is_written_to_and_stays_one():
    output.write(Path(os.devnull), "text")
    assert not Path(os.devnull).is_file()


@pytest.fixture
def full_disk(monkeypatch):
    """Every file is written in part, then the disk is full."""

    def fail(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_write_that_fails_leaves_the_folder_as_it_was(tmp_path, full_disk, before):
    path = tmp_path / "file.json"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(OSError, match=r"No space left on device: '.*file.json'"):
        output.write(path, "new" * 10_000)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == (
        [] if before is None else [before]
    )


def test_figures_are_written_whole_or_not_at_all(tmp_path, full_disk):
    with pytest.raises(OSError, match="No space left"):
        save(Figure(), tmp_path / "figure.png")
    assert [*tmp_path.iterdir()] == []


COMMANDS = {
    "suite": (suite.main, "--application landscape --runs 1 --out"),
    "graph_classification": (graph_classification.main, "--out"),
    "speed": (speed.main, "--quick --out"),
    "gallery": (gallery.main, "--out"),
    "bag_figure": (bag_figure.main, "--out"),
    "imitation": (imitation.main, "--out"),
    "warm_start": (warm_start.main, "--out"),
}


@pytest.fixture(params=["a file", "below a file"])
def no_folder(request, tmp_path) -> Path:
    (tmp_path / "taken").write_text("content")
    return tmp_path / ("taken" if request.param == "a file" else "taken/below")


@pytest.mark.parametrize("name", COMMANDS)
def test_out_that_is_no_folder_fails_at_the_start(name, no_folder, monkeypatch, capsys):
    def train(*args, **kwargs):
        raise AssertionError("work was done that cannot be kept")

    for module in ("experiment.fit", "speed.measure", "digits.train"):
        monkeypatch.setattr(f"benchmarks.{module}", train)
    main, options = COMMANDS[name]
    assert main([*options.split(), str(no_folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}: --out must be a folder that can be written to")
    assert str(no_folder) in line


@pytest.mark.parametrize("option", ["--markdown", "--page", "--images"])
def test_a_report_that_has_no_place_fails_at_the_start(
    option, no_folder, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "load", lambda *args: None)
    place = no_folder if option == "--images" else no_folder / "page"
    assert report.main([option, str(place)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("report: ")
    assert f"{option} must be a folder that can be written to" in line


def test_a_file_must_not_be_a_folder(tmp_path):
    with pytest.raises(ValueError, match=r"--page must be a file \(got the folder"):
        output.check_file(tmp_path, "--page")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_must_be_writable(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match="Permission denied"):
        output.check_folder(tmp_path, "--out")
