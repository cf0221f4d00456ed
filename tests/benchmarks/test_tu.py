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
