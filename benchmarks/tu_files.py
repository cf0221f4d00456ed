r"""Reads the text files of a TU set, and says which line is wrong if one is.

Nodes and graphs are numbered from 1. Of a set ``NAME`` there are, with a line for each

- edge: ``NAME_A.txt``, two nodes of one graph, parted by a comma; it can be empty. Also
  ``NAME_edge_labels.txt`` and ``NAME_edge_attributes.txt``, which are checked and
  otherwise ignored;
- node: ``NAME_graph_indicator.txt``, its graph, the nodes of graph 1 first; also
  ``NAME_node_labels.txt``, whole numbers, and ``NAME_node_attributes.txt``, numbers;
- graph: ``NAME_graph_labels.txt``, its class.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.number_table import check_finite, check_whole, first, read_numbers


@dataclass(frozen=True)
class RawGraphs:
    r"""What the files of a set say.

    Args:
        edges (numpy.ndarray): Pairs of nodes, numbered from 0, int64 of shape [E, 2].
        graph (numpy.ndarray): The graph of each node, numbered from 0 and sorted,
            int64 of shape [N].
        classes (numpy.ndarray): Of each graph, as in the file, int64 of shape [G].
        node_labels (numpy.ndarray, optional): int64 of shape [N, L].
        node_attributes (numpy.ndarray, optional): float64 of shape [N, F].
    """

    edges: np.ndarray
    graph: np.ndarray
    classes: np.ndarray
    node_labels: np.ndarray | None
    node_attributes: np.ndarray | None


@dataclass(frozen=True)
class Files:
    r"""The files of a set.

    Args:
        folder (Path): Where they are.
        name (str): Of the set.
    """

    folder: Path
    name: str

    def paths(self) -> list[Path]:
        r"""Those that are there."""
        if not self.folder.is_dir():
            return []
        texts = (path for path in self.folder.iterdir() if path.suffix == ".txt")
        return sorted(p for p in texts if p.name.startswith(f"{self.name}_"))

    def digest(self) -> str:
        r"""What their names and contents hash to, as 64 hexadecimal digits."""
        found = hashlib.sha256()
        for path in self.paths():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found.update(f"{path.name} {content}\n".encode())
        return found.hexdigest()

    def read(self) -> RawGraphs:
        r"""Reads and checks them.

        Raises:
            ValueError: If one is missing or wrong; the message names file and line.
        """
        graph = _graph_indicator(self._path("graph_indicator"))
        edges = _edges(self._path("A"), graph)
        classes = _whole(self._path("graph_labels"), "the class of each graph", 1)
        _check_count(self._path("graph_labels"), classes, int(graph[-1]) + 1, "graph")
        self._labels("edge", len(edges))
        self._attributes("edge", len(edges))
        labels = self._labels("node", len(graph))
        attributes = self._attributes("node", len(graph))
        return RawGraphs(edges, graph, classes[:, 0], labels, attributes)

    def _path(self, part: str) -> Path:
        return self.folder / f"{self.name}_{part}.txt"

    def _labels(self, of: str, count: int) -> np.ndarray | None:
        path = self._path(f"{of}_labels")
        if not path.exists():
            return None
        table = _whole(path, f"the labels of each {of}")
        _check_count(path, table, count, of)
        return table

    def _attributes(self, of: str, count: int) -> np.ndarray | None:
        path = self._path(f"{of}_attributes")
        if not path.exists():
            return None
        table = read_numbers(path, f"the attributes of each {of}")
        check_finite(path, table)
        _check_count(path, table, count, of)
        return table


def _whole(path: Path, needed: str, columns: int | None = None) -> np.ndarray:
    table = read_numbers(path, needed, columns)
    check_whole(path, table)
    return table.astype(np.int64)


def _check_count(path: Path, table: np.ndarray, count: int, of: str) -> None:
    if len(table) != count:
        line, problem = (
            (len(table) + 1, "is missing")
            if len(table) < count
            else (count + 1, "is one too many")
        )
        raise ValueError(
            f"'{path}', line {line} {problem}: the file needs {count} lines, one for "
            f"each {of} (got {len(table)})"
        )


def _graph_indicator(path: Path) -> np.ndarray:
    graph = _whole(path, "the graph of each node", 1)[:, 0]
    if len(graph) == 0:
        raise ValueError(f"'{path}' is empty and needs the graph of each node")
    steps = np.diff(graph, prepend=0)
    wrong = (steps != 0) & (steps != 1)
    wrong[0] = steps[0] != 1
    if wrong.any():
        line = first(wrong)
        before = f"follows graph {graph[line - 2]}" if line > 1 else "is the first"
        raise ValueError(
            f"'{path}', line {line}: graph {graph[line - 1]} {before}, but graphs must "
            "be numbered 1, 2, 3, ... without a gap, and the nodes of graph 1 come "
            "first, then those of graph 2, and so on"
        )
    return graph - 1


def _edges(path: Path, graph: np.ndarray) -> np.ndarray:
    edges = _whole(path, "two nodes for each edge, parted by a comma", 2)
    outside = (edges < 1) | (edges > len(graph))
    if outside.any():
        line = first(outside)
        raise ValueError(
            f"'{path}', line {line}: the nodes of an edge must be from 1 to "
            f"{len(graph)}, as the graph indicator has that many lines (got "
            f"{_pair(edges[line - 1])})"
        )
    ends = graph[edges - 1]
    between = ends[:, 0] != ends[:, 1]
    if between.any():
        line = first(between)
        raise ValueError(
            f"'{path}', line {line}: the nodes of an edge must be of one graph (got "
            f"{_pair(edges[line - 1])} of graphs {_pair(ends[line - 1] + 1)})"
        )
    return edges - 1


def _pair(values: np.ndarray) -> str:
    return f"{values[0]}, {values[1]}"
