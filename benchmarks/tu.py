r"""The graph classification sets of `"TUDataset: A collection of benchmark datasets
for learning with graphs" <https://arxiv.org/abs/2007.08663>`_.
"""

import hashlib
from pathlib import Path

import torch
from torch.nn.functional import one_hot
from torch_geometric.data import Data
from torch_geometric.datasets import TUDataset
from torch_geometric.utils import degree

from benchmarks.absent import Absent
from benchmarks.graph_data import GraphDataset, GraphSet
from benchmarks.splits import fold_split

MAX_DEGREE = 64


def load(name: str, root: Path | None, cache: Path) -> GraphDataset:
    r"""Reads the set ``name``.

    Node features are the node labels, one-hot; without labels the node attributes;
    without either the degree, one-hot up to ``MAX_DEGREE`` (and more).

    Args:
        name (str): Its name in the collection, such as ``'MUTAG'``.
        root (Path, optional): A folder with ``name/raw/name_A.txt`` and its
            companions, which is only read; or for PyG to download them into.
        cache (Path): Where what PyG makes of local files is kept.

    Raises:
        Absent: If ``root`` is no folder, or the files are neither in it nor to be
            downloaded.
    """
    if root is None:
        raise Absent(
            f"dataset '{name}' needs --root, a folder with {name}/raw/{name}_A.txt "
            "or to download that into ('solubility' needs none)"
        )
    if not root.is_dir():
        raise Absent(f"--root must be an existing folder (got '{root}')")
    raw = root / name / "raw"
    local = (raw / f"{name}_A.txt").is_file()
    dataset = _read(_linked(name, raw, cache), name) if local else _download(root, name)
    graphs = GraphSet.from_data_list([with_features(graph) for graph in dataset])
    classes = tuple(map(str, range(dataset.num_classes)))
    return GraphDataset(name, graphs, classes, fold_split)


def _read(root: Path, name: str) -> TUDataset:
    dataset = TUDataset(str(root), name)
    if dataset.num_node_labels == 0 and dataset.num_node_attributes > 0:
        return TUDataset(str(root), name, use_node_attr=True)
    return dataset


def _download(root: Path, name: str) -> TUDataset:
    try:
        return _read(root, name)
    except Exception as error:  # fsspec raises whatever its transport does
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Absent(
            f"dataset '{name}' is not in '{root / name / 'raw'}' and could not be "
            f"downloaded ({reason})"
        ) from error


def _linked(name: str, raw: Path, cache: Path) -> Path:
    root = cache / hashlib.sha256(str(raw.resolve()).encode()).hexdigest()[:12]
    link = root / name / "raw"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(raw.resolve(), target_is_directory=True)
    return root


def with_features(graph: Data) -> Data:
    r"""The graph itself if it has node features, else with its degrees as such."""
    if graph.x is not None and graph.x.size(1) > 0:
        return graph
    degrees = degree(graph.edge_index[0], graph.num_nodes, torch.long)
    graph.x = one_hot(degrees.clamp_(max=MAX_DEGREE), MAX_DEGREE + 1).float()
    return graph
