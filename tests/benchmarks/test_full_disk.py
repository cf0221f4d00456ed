"""Commands on a disk that is full, which is a small one in memory."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import graph_classification, output, stored, suite
from benchmarks.records import Records

SIZE = 64 * 1024
POINT = "--application landscape --dataset size~1 --readout mean max --epochs 1"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no command to mount a small disk")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no small disk can be mounted here ({error.stderr.strip()})")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Leaves that many pages of 4,096 bytes free."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
        file.truncate(max(0, file.tell() - 4096 * left))
    return ballast


def words(options: str) -> list[str]:
    return [word.replace("~", " ") for word in options.split()]


def test_a_full_disk_is_noticed_at_the_start(disk, capsys):
    ballast = fill(disk, left=0)
    assert suite.main([*words(POINT), "--runs", "2", "--out", str(disk)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("suite: --out must be a folder that can be written to")
    assert line.endswith("No space left on device)")
    assert [*disk.iterdir()] == [ballast]


def test_a_suite_whose_disk_fills_up_keeps_whole_records(disk, capsys):
    command = [*words(POINT), "--out", str(disk), "--runs"]
    assert suite.main([*command, "1"]) == 0
    path = disk / "landscape.jsonl"
    whole = path.read_bytes()
    ballast = fill(disk, left=1)
    assert suite.main([*command, "10"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"suite: [Errno 28] No space left on device: '{path}'"
    )
    assert path.read_bytes().startswith(whole)
    assert path.read_bytes().endswith(b"}\n")
    records = Records(path)
    assert 2 < len(records) < 20
    ballast.unlink()
    assert suite.main([*command, "10"]) == 0
    assert len(Records(path)) == 20
    assert records.broken == Records(path).broken == 0


def test_weights_that_do_not_fit_leave_no_file(disk, write_tu, tmp_path, capsys):
    root, cache = write_tu(labels=[0, 1, 2, 1, 0]), tmp_path / "cache"
    ballast = fill(disk, left=2)
    options = f"--dataset SHAPES --root {root} --cache {cache} --out {disk} "
    command = [*options.split(), "--readout", "mean", "--seeds", "1", "--epochs", "1"]
    command += ["--hidden", "16"]
    assert graph_classification.main(command) == 1
    said = capsys.readouterr().err
    assert "failed, OSError: [Errno 28] No space left on device" in said
    assert [*(disk / "models").iterdir()] == []
    ballast.unlink()
    assert graph_classification.main(command) == 0
    (path,) = (disk / "models").iterdir()
    assert stored.load(path)


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_file_that_does_not_fit_leaves_the_old_one(disk, before):
    path = disk / "report.html"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(OSError, match=r"No space left on device: '.*report.html'"):
        output.write(path, bytes(2 * SIZE))
    assert [file.read_bytes() for file in disk.iterdir()] == [before] * bool(before)
    output.write(path, b"new")
    assert path.read_bytes() == b"new"
