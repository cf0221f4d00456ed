import pytest
import torch

from benchmarks import tu
from benchmarks.absent import Absent


def files(folder):
    return sorted(path for path in folder.rglob("*"))


def test_reads_local_files_and_writes_beside_none_of_them(write_tu, tmp_path):
    root = write_tu(labels=[0, 1, 2, 1, 0])
    before = files(root)
    dataset = tu.load("SHAPES", root, tmp_path / "cache")
    assert files(root) == before
    assert dataset.graphs.y.bincount().tolist() == [20, 20]
    assert dataset.classes == ("0", "1")
    graph, _ = dataset.graphs.select(torch.tensor([0]))
    assert graph.x.argmax(1).tolist() == [0, 1, 2, 1, 0]
    again = tu.load("SHAPES", root, tmp_path / "cache")
    assert torch.equal(again.graphs.x, dataset.graphs.x)


def test_attributes_where_there_are_no_labels(write_tu, tmp_path):
    root = write_tu(attributes=[0.5, 1, 2, 3, 4])
    graphs = tu.load("SHAPES", root, tmp_path / "cache").graphs
    assert graphs.x[:5].flatten().tolist() == [0.5, 1, 2, 3, 4]


def test_degrees_where_there_is_neither(write_tu, tmp_path):
    graphs = tu.load("SHAPES", write_tu(), tmp_path / "cache").graphs
    path, star = (graphs.select(torch.tensor([i]))[0].x for i in (0, 1))
    assert path.argmax(1).tolist() == [1, 2, 2, 2, 1]
    assert star.argmax(1).tolist() == [4, 1, 1, 1, 1]
    assert graphs.x.size(1) == tu.MAX_DEGREE + 1


def test_degrees_are_capped(write_tu, tmp_path):
    root = write_tu(num_graphs=20, size=tu.MAX_DEGREE + 6)
    star, _ = tu.load("SHAPES", root, tmp_path / "cache").graphs.select(
        torch.tensor([1])
    )
    assert int(star.x[0].argmax()) == tu.MAX_DEGREE


def test_a_root_is_needed(tmp_path):
    with pytest.raises(Absent, match="dataset 'MUTAG' needs --root"):
        tu.load("MUTAG", None, tmp_path)


def test_the_root_must_be_there(tmp_path):
    with pytest.raises(Absent, match=r"must be an existing folder \(got .*nowhere"):
        tu.load("MUTAG", tmp_path / "nowhere", tmp_path)


def test_a_failed_download_is_one_line(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(tu, "TUDataset", no_network)
    with pytest.raises(Absent, match=r"not be downloaded \(no route to host\)$"):
        tu.load("NOSUCH", tmp_path, tmp_path / "cache")


def test_reads_mutag(shared_data, tmp_path):
    dataset = tu.load("MUTAG", shared_data / "tu", tmp_path)
    assert dataset.graphs.y.bincount().tolist() == [63, 125]
    assert dataset.graphs.x.shape == (3371, 7)


def replaced(root, part, lines):
    (root / "SHAPES" / "raw" / f"SHAPES_{part}.txt").write_text(lines)


def test_files_that_change_are_read_again(write_tu, tmp_path):
    root, cache = write_tu(labels=[0, 1, 2, 1, 0]), tmp_path / "cache"
    before = tu.load("SHAPES", root, cache).graphs
    replaced(root, "node_labels", "0\n1\n2\n0\n1\n" * 40)
    after = tu.load("SHAPES", root, cache).graphs
    assert after.x[:5].argmax(1).tolist() == [0, 1, 2, 0, 1]
    assert before.digest() != after.digest()
    replaced(root, "node_labels", "0\n1\n2\n1\n0\n" * 40)
    assert tu.load("SHAPES", root, cache).graphs.digest() == before.digest()


def test_files_that_come_or_go_are_noticed(write_tu, tmp_path):
    root, cache = write_tu(labels=[0, 1, 2, 1, 0]), tmp_path / "cache"
    assert tu.load("SHAPES", root, cache).graphs.x.size(1) == 3
    (root / "SHAPES" / "raw" / "SHAPES_node_labels.txt").unlink()
    degrees = tu.load("SHAPES", root, cache).graphs.x.size(1)
    assert degrees == tu.MAX_DEGREE + 1
    replaced(root, "node_attributes", "0.5\n" * 200)
    assert tu.load("SHAPES", root, cache).graphs.x.size(1) == 1


def test_unchanged_files_are_read_once(write_tu, tmp_path, monkeypatch):
    root, cache = write_tu(labels=[0, 1, 2, 1, 0]), tmp_path / "cache"
    first = tu.load("SHAPES", root, cache).graphs
    monkeypatch.setattr(tu, "pack", None)
    assert tu.load("SHAPES", root, cache).graphs.digest() == first.digest()


@pytest.mark.parametrize("left", [0, 100, -1])
def test_a_cache_that_is_cut_short_is_made_again(write_tu, tmp_path, left):
    root, cache = write_tu(labels=[0, 1, 2, 1, 0]), tmp_path / "cache"
    first = tu.load("SHAPES", root, cache).graphs
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes()[:left])
    assert tu.load("SHAPES", root, cache).graphs.digest() == first.digest()
    assert tu.load("SHAPES", root, cache).graphs.digest() == first.digest()


def test_a_cache_that_cannot_be_written_is_done_without(write_tu, tmp_path, capsys):
    root = write_tu(labels=[0, 1, 2, 1, 0])
    (tmp_path / "cache").write_text("a file")
    assert len(tu.load("SHAPES", root, tmp_path / "cache").graphs) == 40
    assert "the cache cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["../..", "..", ".", "", "/etc", "a/b", "../root/SHAPES", "a\\b", "a\0b"]
)
def test_a_name_that_leaves_its_folder_is_refused(write_tu, tmp_path, name):
    with pytest.raises(ValueError, match="must be the name of a folder in --root"):
        tu.load(name, write_tu(), tmp_path / "cache")


@pytest.mark.parametrize("name", ["a[1]", "two words", "a.b", "*", "größer"])
def test_any_other_name_is_right(write_tu, tmp_path, name):
    root = write_tu(name, labels=[0, 1, 2, 1, 0])
    assert tu.load(name, root, tmp_path / "cache").graphs.x.size(1) == 3


def test_files_that_are_there_in_part_are_not_downloaded(write_tu, tmp_path):
    root = write_tu()
    (root / "SHAPES" / "raw" / "SHAPES_A.txt").unlink()
    with pytest.raises(ValueError, match=r"SHAPES_A.txt' cannot be read"):
        tu.load("SHAPES", root, tmp_path / "cache")
