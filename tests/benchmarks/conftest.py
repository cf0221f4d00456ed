from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

import native_build
from benchmarks.elementary import Elementary
from benchmarks.graph_data import GraphDataset, GraphSet
from benchmarks.splits import fold_split

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads gain nothing on tiny graphs, and wait for cores that are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def elementary() -> Elementary:
    """Compiled once, which takes seconds."""
    if native_build.compiler() is None:
        pytest.skip("there is no C++ compiler")
    return Elementary()


@pytest.fixture
def graphs() -> list[Data]:
    """Forty graphs of 1 to 9 nodes; the class is the sign of their mean feature."""
    made = []
    for number in range(40):
        size = 1 + number % 9
        x = torch.randn(size, 3) + (2 if number % 2 else -2)
        edges = torch.randint(size, (2, number % 4 * size))
        made.append(Data(x=x, edge_index=edges, y=number % 2))
    return made


@pytest.fixture
def dataset(graphs: list[Data]) -> GraphDataset:
    packed = GraphSet.from_data_list(graphs)
    return GraphDataset("signs", packed, ("-", "+"), fold_split)


@pytest.fixture
def write_tu(tmp_path: Path) -> Write:
    """Writes a TU set of paths and stars, and returns the folder it is in."""

    def write(
        name: str = "SHAPES",
        num_graphs: int = 40,
        size: int = 5,
        labels: Sequence[int] | None = None,
        attributes: Sequence[float] | None = None,
    ) -> Path:
        raw = tmp_path / "root" / name / "raw"
        raw.mkdir(parents=True)

        def lines(part: str, values: Sequence[object]) -> None:
            (raw / f"{name}_{part}.txt").write_text("".join(f"{v}\n" for v in values))

        edges = []
        for graph in range(num_graphs):
            first = 1 + graph * size
            for node in range(first + 1, first + size):
                other = first if graph % 2 else node - 1
                edges += [f"{node}, {other}", f"{other}, {node}"]
        lines("A", edges)
        lines("graph_indicator", [1 + i // size for i in range(num_graphs * size)])
        lines("graph_labels", [2 * (graph % 2) - 1 for graph in range(num_graphs)])
        if labels is not None:
            lines("node_labels", list(labels) * num_graphs)
        if attributes is not None:
            lines("node_attributes", list(attributes) * num_graphs)
        return tmp_path / "root"

    return write
