r"""What published data sets hold: a file that is cut short is not taken for one.

Text and MATLAB files are known by their counts, since they go about in several forms;
MNIST's by the SHA-256 of what is packed in them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# Numbers, lists of them, and digests, each by what it is of.
Facts = Mapping[str, Any]
SHA256 = "SHA-256"
CLASSES = "in the classes"


def _graphs(nodes: int, edges: int, *classes: int) -> Facts:
    counts = {"graphs": sum(classes), "nodes": nodes, "edges": edges}
    return {**counts, CLASSES: [*classes]}


def _bags(instances: int, features: int, *classes: int) -> Facts:
    counts = {"bags": sum(classes), "instances": instances, "features": features}
    return {**counts, CLASSES: [*classes]}


def _images(*classes: int) -> Facts:
    return {"images": sum(classes), CLASSES: [*classes]}


# Edges have two directions, and are counted without loops and repetitions.
KNOWN: dict[str, Facts] = {
    "MUTAG": _graphs(3371, 7442, 63, 125),
    "PROTEINS": _graphs(43471, 162088, 663, 450),
    "NCI1": _graphs(122747, 265506, 2053, 2057),
    "IMDB-BINARY": _graphs(19773, 193062, 500, 500),
    "IMDB-MULTI": _graphs(19502, 197806, 500, 500, 500),
    "REDDIT-BINARY": _graphs(859254, 1991016, 1000, 1000),
    "musk1": _bags(476, 166, 45, 47),
    "musk2": _bags(6598, 166, 63, 39),
    "elephant": _bags(1391, 230, 100, 100),
    "newsgroups_alt_atheism": _bags(5443, 200, 50, 50),
    "newsgroups_comp_graphics": _bags(3094, 200, 50, 50),
    "newsgroups_rec_motorcycles": _bags(4730, 200, 50, 50),
    "dr_asu": _bags(20400, 64, 160, 265),
    "cifar10_train_10000": _images(*[1000] * 10),
    "cifar10_test_2000": _images(*[200] * 10),
    "train-images-idx3-ubyte": {
        SHA256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    },
    "train-labels-idx1-ubyte": {
        SHA256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    },
    "t10k-images-idx3-ubyte": {
        SHA256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    },
    "t10k-labels-idx1-ubyte": {
        SHA256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    },
}


def classes(y: Tensor) -> list[int]:
    r"""How many examples are of each class, for :obj:`CLASSES`."""
    counts: list[int] = torch.bincount(y).tolist()
    return counts


def described(facts: Facts) -> str:
    r"""One line for a person."""
    return ", ".join(f"{_readable(value)} {name}" for name, value in facts.items())


def _readable(value: int | str | list[int]) -> str:
    if isinstance(value, list):
        return " + ".join(map(_readable, value))
    return value if isinstance(value, str) else f"{value:,}"


def check(name: str, path: Path, found: Facts) -> None:
    r"""Refuses data that have the name of a published set and other content.

    Any other name is let pass.

    Args:
        name (str): The name.
        path (Path): Where the data are, for the message.
        found (Mapping): What they hold.

    Raises:
        ValueError: If they differ; the message says in what.
    """
    expected = KNOWN.get(name, found)
    wrong = [fact for fact in expected if found[fact] != expected[fact]]
    if wrong:
        raise ValueError(
            f"'{path}' is not {name} as published: it has "
            f"{described({fact: found[fact] for fact in wrong})}, expected are "
            f"{described({fact: expected[fact] for fact in wrong})}. Get it again, or "
            "give data of your own another name"
        )
