from pathlib import Path

import pytest
import torch
from torch_geometric.datasets import TUDataset

from benchmarks import tu
from benchmarks.graph_data import GraphSet
from benchmarks.tu_files import Files

# Three graphs: a path of three nodes, a lone node, an edge.
RAW = {
    "A": ["1, 2", "2, 1", "2, 3", "3, 2", "5, 6", "6, 5"],
    "graph_indicator": [1, 1, 1, 2, 3, 3],
    "graph_labels": [-1, 1, 1],
    "node_labels": [0, 1, 0, 3, 1, 1],
    "node_attributes": ["0.5, 1"] * 6,
    "edge_labels": [0, 0, 1, 1, 2, 2],
    "edge_attributes": ["1.5"] * 6,
}


def written(folder: Path, **changes: object) -> Files:
    """The files above with others in place of some; none for None."""
    raw = folder / "MINE" / "raw"
    raw.mkdir(parents=True)
    for part, lines in {**RAW, **changes}.items():
        if lines is not None:
            text = "".join(f"{line}\n" for line in lines)
            (raw / f"MINE_{part}.txt").write_text(text)
    return Files(raw, "MINE")


def changed(part: str, line: int, value: object) -> list[object]:
    lines = [*RAW[part]]
    lines[line - 1] = value
    return lines


def test_reads_every_file(tmp_path):
    raw = written(tmp_path).read()
    assert raw.edges.tolist() == [[0, 1], [1, 0], [1, 2], [2, 1], [4, 5], [5, 4]]
    assert raw.graph.tolist() == [0, 0, 0, 1, 2, 2]
    assert raw.classes.tolist() == [-1, 1, 1]
    assert raw.node_labels.tolist() == [[0], [1], [0], [3], [1], [1]]
    assert raw.node_attributes.tolist() == [[0.5, 1]] * 6


@pytest.mark.parametrize("part", ["A", "graph_indicator", "graph_labels"])
def test_files_that_must_be_there(tmp_path, part):
    files = written(tmp_path, **{part: None})
    with pytest.raises(ValueError, match=f"MINE_{part}.txt' cannot be read .*needed"):
        files.read()


WRONG = [
    ("A", changed("A", 3, "2, 7"), "line 3: .* from 1 to 6, .*(got 2, 7)"),
    ("A", changed("A", 1, "0, 1"), "line 1: .* from 1 to 6, .*(got 0, 1)"),
    ("A", changed("A", 5, "3, 4"), r"line 5: .* one graph \(got 3, 4 of graphs 1, 2"),
    ("A", changed("A", 2, "2"), r"line 2: .*, 2 \(got 1\); needed is two nodes"),
    ("A", changed("A", 2, "1, 2, 3"), r"line 2: .*, 2 \(got 3\)"),
    ("A", changed("A", 2, "a, b"), "line 2: 'a' is no number"),
    ("A", changed("A", 2, "1.5, 1"), r"line 2: .* must be whole \(got 1.5\)"),
    ("graph_indicator", [], "is empty"),
    ("graph_indicator", [1, 1, 1, 3, 4, 4], "line 4: graph 3 follows graph 1, but"),
    ("graph_indicator", [1, 1, 2, 1, 3, 3], "line 4: graph 1 follows graph 2, but"),
    ("graph_indicator", [0, 0, 0, 1, 2, 2], "line 1: graph 0 is the first, but"),
    ("graph_indicator", [2, 2, 2, 3, 4, 4], "line 1: graph 2 is the first, but"),
    ("graph_indicator", [-1, 1, 1, 2, 3, 3], "line 1: graph -1 is the first, but"),
    ("graph_indicator", [1, 1, 1, "x", 3, 3], "line 4: 'x' is no number"),
    (
        "graph_labels",
        [1, -1],
        "line 3 is missing: .*3 lines, one for each graph",
    ),
    ("graph_labels", [1, 1, 1, 1], "line 4 is one too many: .* each graph .got 4"),
    ("graph_labels", [], "line 1 is missing"),
    ("graph_labels", [1, "two", 1], "line 2: 'two' is no number"),
    ("graph_labels", [1, 0.5, 1], "line 2: every number must be whole"),
    ("graph_labels", [1, "nan", 1], "line 2: every number must be whole"),
    ("graph_labels", ["1, 2", "1, 2", "1, 2"], r"line 1: .*, 1 \(got 2\)"),
    ("node_labels", [0] * 5, "line 6 is missing: .*6 lines, one for each node .got 5"),
    ("node_labels", [0] * 7, "line 7 is one too many"),
    ("node_labels", changed("node_labels", 2, "C"), "line 2: 'C' is no number"),
    ("node_labels", changed("node_labels", 2, ""), "line 2: it is empty"),
    ("node_attributes", ["1, 2"] * 4, "line 5 is missing"),
    ("node_attributes", changed("node_attributes", 6, "1"), r"line 6: .*2 \(got 1\)"),
    ("node_attributes", changed("node_attributes", 6, "1, inf"), "line 6: .* finite"),
    ("edge_labels", [0] * 5, "line 6 is missing: .* one for each edge"),
    ("edge_labels", changed("edge_labels", 4, "-"), "line 4: '-' is no number"),
    ("edge_attributes", [0] * 9, "line 7 is one too many"),
    ("edge_attributes", changed("edge_attributes", 1, "x"), "line 1: 'x' is no"),
]


@pytest.mark.parametrize(("part", "lines", "message"), WRONG)
def test_names_file_and_line(tmp_path, part, lines, message):
    files = written(tmp_path, **{part: lines})
    with pytest.raises(ValueError, match=message) as caught:
        files.read()
    assert f"MINE_{part}.txt'" in str(caught.value)
    assert "\n" not in str(caught.value)


NO_EDGE = {"A": [], "edge_labels": [], "edge_attributes": []}


def load(folder: Path, **changes: object) -> GraphSet:
    written(folder, **changes)
    return tu.load("MINE", folder, folder / "cache").graphs


def test_graphs_without_edges_are_right(tmp_path):
    graphs = load(tmp_path, **NO_EDGE)
    assert graphs.edge_index.shape == (2, 0)
    assert graphs.edge_ptr.tolist() == [0, 0, 0, 0]
    assert graphs.node_ptr.tolist() == [0, 3, 4, 6]
    batch, y = graphs.select(torch.tensor([2, 0]))
    assert batch.batch.tolist() == [0, 0, 1, 1, 1]
    assert y.tolist() == [1, 0]


def test_degrees_of_graphs_without_edges_are_zero(tmp_path):
    graphs = load(tmp_path, **NO_EDGE, node_labels=None, node_attributes=None)
    assert graphs.x.argmax(1).tolist() == [0] * 6


def test_last_graphs_without_edges_are_right(tmp_path):
    four = {"A": RAW["A"][:4], "edge_labels": [0] * 4, "edge_attributes": None}
    graphs = load(tmp_path, **four)
    assert graphs.edge_ptr.tolist() == [0, 4, 4, 4]


def test_a_file_whose_last_line_has_no_end_is_read_whole(tmp_path):
    files = written(tmp_path)
    for path in files.paths():
        path.write_text(path.read_text().removesuffix("\n"))
    graphs = tu.load("MINE", tmp_path, tmp_path / "cache").graphs
    assert graphs.edge_ptr.tolist() == [0, 4, 4, 6]
    assert graphs.y.tolist() == [0, 1, 1]


def test_another_set_in_the_folder_is_no_part_of_it(tmp_path):
    files = written(tmp_path)
    before = files.digest()
    (files.folder / "MINEOTHER_A.txt").write_text("no edges")
    (files.folder / "README.txt").write_text("about it")
    assert files.digest() == before
    assert len(files.paths()) == len(RAW)


def as_pyg_reads_it(root: Path, name: str) -> GraphSet:
    dataset = TUDataset(str(root), name)
    if dataset.num_node_labels == 0:
        dataset = TUDataset(str(root), name, use_node_attr=True)
    return GraphSet.from_data_list([*dataset])


LOOPS = [*RAW["A"], "1, 2", "4, 4", "3, 3", "1, 3"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"node_labels": ["0, 2", "1, 2", "-3, 2", "0, 2", "0, 4", "5, 2"]},
        {"node_labels": None},
        {"A": LOOPS, "edge_labels": None, "edge_attributes": None},
    ],
)
def test_reads_what_pyg_reads(tmp_path, changes, capsys):
    ours = load(tmp_path, **changes)
    theirs = as_pyg_reads_it(tmp_path, "MINE")
    for name, value in vars(theirs).items():
        torch.testing.assert_close(getattr(ours, name), value, rtol=0, atol=0)


def test_reads_mutag_as_pyg_does(shared_data, tmp_path):
    link = tmp_path / "MUTAG" / "raw"
    link.parent.mkdir()
    link.symlink_to(shared_data / "tu" / "MUTAG" / "raw")
    ours = tu.load("MUTAG", shared_data / "tu", tmp_path / "cache").graphs
    theirs = as_pyg_reads_it(tmp_path, "MUTAG")
    for name, value in vars(theirs).items():
        torch.testing.assert_close(getattr(ours, name), value, rtol=0, atol=0)
