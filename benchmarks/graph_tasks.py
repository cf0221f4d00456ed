r"""Graph data sets by name, and the tasks of classifying their graphs."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path

from torch import Tensor
from torch.nn import Module

from benchmarks import tu
from benchmarks.absent import Absent
from benchmarks.graph_data import GraphDataset, GraphSet
from benchmarks.graph_model import GraphClassifier
from benchmarks.harness import Training
from benchmarks.readouts import Readout
from benchmarks.splits import Split
from benchmarks.task import Task


@dataclass(frozen=True)
class Shape:
    r"""The sizes of the model.

    Raises:
        ValueError: If a size is below 1 or the dropout not in [0, 1).
    """

    hidden: int = 64
    num_layers: int = 3
    dropout: float = 0.2

    def __post_init__(self) -> None:
        for name in ("hidden", "num_layers"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"'{name}' must be at least 1 (got {getattr(self, name)})"
                )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"'dropout' must be in [0, 1) (got {self.dropout})")


@dataclass(frozen=True)
class Source:
    r"""Where a named data set comes from.

    Args:
        name (str): ``'solubility'``, or the name of a TUDataset.
        root (Path, optional): Of the TU sets.
        cache (Path): For what is read of them. (default: ``.cache/tu``)
    """

    name: str
    root: Path | None = None
    cache: Path = field(default=Path(".cache/tu"))

    def load(self) -> GraphDataset:
        r"""The data set, read once.

        Raises:
            Absent: If it is not there; the message says what is missing.
        """
        return load_once(self)

    def graphs(self, seed: int) -> GraphSet:
        r"""Its graphs, whatever the seed."""
        return self.load().graphs

    def split(self, y: Tensor, fold: int, seed: int) -> Split:
        r"""Its split."""
        return self.load().split(y, fold, seed)


@cache
def load_once(source: Source) -> GraphDataset:
    r"""What :meth:`Source.load` returns, the same whenever a process asks."""
    if source.name == "solubility":
        return _solubility()
    return tu.load(source.name, source.root, source.cache)


def _solubility() -> GraphDataset:
    try:  # Not at the top: only this set needs rdkit.
        from benchmarks import solubility
    except ModuleNotFoundError as error:
        raise Absent(
            f"dataset 'solubility' needs the package {error.name}, which is not "
            f"installed (pip install {error.name})"
        ) from error
    return solubility.load()


def _model(shape: Shape, graphs: GraphSet, readout: Readout) -> Module:
    num_classes = int(graphs.y.max()) + 1
    sizes = (shape.hidden, shape.num_layers, shape.dropout)
    return GraphClassifier(graphs.x.size(1), num_classes, readout, *sizes)


# Sets that can decide something are cross-validated twice where that takes no day.
RUNS = {
    "solubility": 10,
    "MUTAG": 10,
    "PROTEINS": 20,
    "NCI1": 20,
    "IMDB-BINARY": 20,
    "IMDB-MULTI": 20,
    "REDDIT-BINARY": 10,
}
LONG = ("NCI1", "REDDIT-BINARY")
# Attention between all pairs of nodes of a graph; the largest here has 3,782.
LEFT_OUT = {"REDDIT-BINARY": ("set-transformer",)}
BATCH_SIZE = 64
TRAINING = Training(epochs=60, patience=15)


def tasks(root: Path | None) -> list[Task]:
    r"""The graph sets of the suite; TU sets are those of ``root/tu``."""
    folder = None if root is None else root / "tu"
    sources = [Source(name, folder) for name in RUNS]
    return [task(source, TRAINING, Shape()) for source in sources]


def task(
    source: "Source | GraphDataset",
    training: Training,
    shape: Shape,
    batch_size: int = BATCH_SIZE,
) -> Task:
    r"""Classifying the graphs of a set.

    Solubility has its published split alone, any other set ten folds. The runs of a set
    that is read already depend on its content: other graphs have other records. Sets
    of the suite are read when they are needed.
    """
    settings = asdict(shape)
    if isinstance(source, GraphDataset):
        settings["data"] = source.graphs.digest()
    build: Callable[[GraphSet, Readout], Module] = partial(_model, shape)
    return Task(
        application="graphs",
        name=source.name,
        data=source.graphs
        if isinstance(source, Source)
        else lambda seed: source.graphs,
        split=source.split,
        model=build,
        training=training,
        batch_size=batch_size,
        num_folds=1 if source.name == "solubility" else 10,
        runs=RUNS.get(source.name, 10),
        left_out=LEFT_OUT.get(source.name, ()),
        long=source.name in LONG,
        settings=settings,
    )
