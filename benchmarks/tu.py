r"""The graph classification sets of `"TUDataset: A collection of benchmark datasets
for learning with graphs" <https://arxiv.org/abs/2007.08663>`_.
"""

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch_geometric.datasets import TUDataset
from torch_geometric.utils import coalesce, degree, remove_self_loops

from benchmarks import known, number_table, stored, tu_files
from benchmarks.absent import Absent
from benchmarks.examples import offsets
from benchmarks.graph_data import GraphDataset, GraphSet
from benchmarks.splits import fold_split
from benchmarks.tu_files import Files, RawGraphs

MAX_DEGREE = 64


def load(name: str, root: Path | None, cache: Path) -> GraphDataset:
    r"""Reads the set ``name``.

    Node features are the node labels, one-hot; without labels the node attributes;
    without either the degree, one-hot up to ``MAX_DEGREE`` (and more). Loops and
    repeated edges are left out, as PyG does.

    Args:
        name (str): Its name in the collection, such as ``'MUTAG'``.
        root (Path, optional): A folder with ``name/raw/name_A.txt`` and its
            companions, which is only read; or for PyG to download them into.
        cache (Path): Where what is made of the files is kept, by their content.

    Raises:
        Absent: If ``root`` is no folder, or the files are neither in it nor to be
            downloaded.
        ValueError: If ``name`` is no name of a folder, a file is wrong, or the files of
            a known set differ from what was published.
    """
    if root is None:
        raise Absent(
            f"dataset '{name}' needs --root, a folder with {name}/raw/{name}_A.txt "
            "or to download that into ('solubility' needs none)"
        )
    _check_name(name)
    if not root.is_dir():
        raise Absent(f"--root must be an existing folder (got '{root}')")
    files = Files(root / name / "raw", name)
    if not files.paths():
        _download(root, name)
    graphs = _kept(files, cache)
    known.check(name, files.folder, graphs.facts())
    classes = tuple(map(str, range(int(graphs.y.max()) + 1)))
    return GraphDataset(name, _with_features(graphs), classes, fold_split)


def _check_name(name: str) -> None:
    if name in ("", ".", "..") or any(mark in name for mark in "/\\\0"):
        raise ValueError(
            "the name of a dataset must be the name of a folder in --root, not a path "
            f"(got '{name}')"
        )


def _download(root: Path, name: str) -> None:
    try:
        # PyG also processes the files, and loads the result with weights_only=True
        # where it can; only the raw files are read here.
        TUDataset(str(root), name)
    except Exception as error:  # fsspec raises whatever its transport does
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Absent(
            f"dataset '{name}' is not in '{root / name / 'raw'}' and could not be "
            f"downloaded ({reason})"
        ) from error


def _kept(files: Files, cache: Path) -> GraphSet:
    """The graphs of these files, from the cache if it has them."""
    path = cache / f"{files.name}-{_version(files)}.pt"
    if path.is_file():
        try:
            return GraphSet(**stored.load(path))
        except (ValueError, TypeError):
            pass  # Something else has damaged it: it is made again.
    graphs = pack(files.read())
    try:
        stored.save(path, vars(graphs))
    except OSError as error:
        print(f"the cache cannot be written ({error})", file=sys.stderr)
    return graphs


def _version(files: Files) -> str:
    """Follows from the files and from the code that reads them."""
    found = hashlib.sha256(files.digest().encode())
    for code in (__file__, tu_files.__file__, number_table.__file__):
        found.update(Path(code).read_bytes())
    return found.hexdigest()[:16]


def pack(raw: RawGraphs) -> GraphSet:
    r"""Graphs with node labels or attributes as features, or with no feature."""
    graph = torch.from_numpy(raw.graph)
    num_nodes, num_graphs = len(raw.graph), len(raw.classes)
    edges, _ = remove_self_loops(torch.from_numpy(raw.edges).t().contiguous())
    edges = coalesce(edges, num_nodes=num_nodes)
    node_ptr = offsets(graph.bincount(minlength=num_graphs))
    _, y = np.unique(raw.classes, return_inverse=True)
    return GraphSet(
        x=_features(raw),
        edge_index=edges - node_ptr[graph[edges[0]]],
        node_ptr=node_ptr,
        edge_ptr=offsets(graph[edges[0]].bincount(minlength=num_graphs)),
        y=torch.from_numpy(y),
    )


def _features(raw: RawGraphs) -> Tensor:
    if raw.node_labels is not None:
        labels = torch.from_numpy(raw.node_labels)
        columns = (labels - labels.min(0).values).unbind(1)
        return torch.cat([one_hot(column) for column in columns], 1).float()
    if raw.node_attributes is not None:
        return torch.from_numpy(raw.node_attributes).float()
    return torch.empty(len(raw.graph), 0)


def _with_features(graphs: GraphSet) -> GraphSet:
    """The graphs themselves if they have features, else with degrees as such."""
    if graphs.x.size(1) > 0:
        return graphs
    start = graphs.node_ptr[:-1].repeat_interleave(graphs.edge_ptr.diff())
    degrees = degree(graphs.edge_index[0] + start, len(graphs.x), torch.long)
    x = one_hot(degrees.clamp_(max=MAX_DEGREE), MAX_DEGREE + 1).float()
    return replace(graphs, x=x)
