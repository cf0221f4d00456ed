r"""Shares of nodes on a graph."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from torch_geometric_uotp.arguments import check_real, check_tensor, kind_of
from torch_geometric_uotp.plot.canvas import (
    FRAME,
    LINE,
    array,
    axes_or_new,
    members,
    optional,
)
from torch_geometric_uotp.plot.share import (
    share_bar,
    share_colours,
    share_scale,
    shares,
)
from torch_geometric_uotp.problem import Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LogNorm


def on_graph(
    solution: Solution,
    edge_index: Tensor,
    number: int = 0,
    position: Tensor | None = None,
    labels: Sequence[str] | None = None,
    scale: "LogNorm | None" = None,
    axes: "Axes | None" = None,
) -> "Axes":
    """Draw one graph of a batch, its nodes coloured by their shares.

    Red nodes have more than an equal share, blue ones less. Shares are averaged
    over heads.

    Args:
        solution (Solution): What ``layer.solve(...)`` returned.
        edge_index (torch.Tensor): The edges of the batch, of shape [2, E].
        number (int): The graph's number in the batch. (default: :obj:`0`)
        position (torch.Tensor, optional): Where to draw its nodes, of shape
            [nodes, 2]. (default: by NetworkX, after the lengths of paths)
        labels (list, optional): What to write on its nodes.
        scale (matplotlib.colors.LogNorm, optional): As by :func:`share_scale`,
            for several graphs alike. (default: the graph's own, drawn beside it)
        axes (matplotlib.axes.Axes, optional): Where to draw.

    Raises:
        ImportError: If Matplotlib is not installed; without ``position``, if
            NetworkX or SciPy is not.
        ValueError: If there is no such graph, no node in it, a share that is not
            finite, or another number of labels or positions than it has nodes; if
            an argument is of another kind.
    """
    share = shares(solution, number)
    edges = _edges_among(members(solution, number), edge_index)
    _check_of_nodes(share.size, position, labels)
    places = _layout(share.size, edges) if position is None else array(position)
    norm = share_scale(share) if scale is None else scale
    axes = axes_or_new(axes)
    for ends in edges:
        axes.plot(*places[ends].T, color=LINE, linewidth=1.5, zorder=1)
    axes.scatter(
        places[:, 0],
        places[:, 1],
        s=260,
        c=share.tolist(),
        cmap=share_colours(),
        norm=norm,
        edgecolors=FRAME,
        plotnonfinite=True,
        zorder=2,
    )
    for place, label in zip(places, () if labels is None else labels, strict=False):
        axes.annotate(label, place, ha="center", va="center", fontsize=9)
    axes.set_aspect("equal")
    axes.margins(0.12)
    axes.set_axis_off()
    if scale is None:
        share_bar(norm, axes)
    return axes


def _check_of_nodes(
    nodes: int, position: Tensor | None, labels: Sequence[str] | None
) -> None:
    if position is not None:
        check_real("position", position)
        if position.dim() != 2 or position.size(1) != 2:
            raise ValueError(
                f"'position' must be of shape [nodes, 2] (got {tuple(position.shape)})"
            )
    if labels is not None and (
        isinstance(labels, str) or not hasattr(labels, "__len__")
    ):
        raise ValueError(f"'labels' must be a list (got {kind_of(labels)})")
    for name, given in (("position", position), ("labels", labels)):
        if given is not None and len(given) != nodes:
            raise ValueError(f"'{name}' must be of {nodes} nodes (got {len(given)})")


def _edges_among(nodes: Tensor, edge_index: Tensor) -> list[list[int]]:
    """The edges of one graph, between the places that its nodes have in it."""
    check_tensor("edge_index", edge_index)
    if edge_index.dim() != 2 or edge_index.size(0) != 2:
        raise ValueError(
            f"'edge_index' must be of shape [2, E] (got {tuple(edge_index.shape)})"
        )
    place = {node: i for i, node in enumerate(nodes.tolist())}
    ends = edge_index.t().tolist()
    return [[place[u], place[v]] for u, v in ends if u in place and v in place]


def _layout(nodes: int, edges: list[list[int]]) -> np.ndarray:
    """Places [nodes, 2] whose distances resemble the lengths of paths."""
    networkx = optional("networkx")
    optional("scipy")
    graph = networkx.Graph(edges)
    graph.add_nodes_from(range(nodes))
    lengths = dict(networkx.all_pairs_shortest_path_length(graph))
    # Parts that no path joins: a little farther apart than any path is long.
    far = 1 + max(max(row.values()) for row in lengths.values())
    distances = {u: {v: row.get(v, far) for v in graph} for u, row in lengths.items()}
    places = networkx.kamada_kawai_layout(graph, dist=distances)
    return np.array([places[node] for node in range(nodes)])
