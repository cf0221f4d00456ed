from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread
from rdkit.Chem import MolFromSmiles

from benchmarks.molecules import RIGHT, WRONG, Panel, choose, draw, render

ETHANOL = MolFromSmiles("CCO")
RED, BLUE = (0.9, 0.2, 0.2), (0.2, 0.3, 0.9)


def share_of_colour(png: bytes, colour: tuple[float, float, float]) -> float:
    pixels = imread(BytesIO(png), format="png")[..., :3]
    return float((np.abs(pixels - colour).max(-1) < 0.02).mean())


def test_atoms_lie_on_discs_of_their_colours():
    mixed = render(ETHANOL, np.array([RED, BLUE, BLUE]))
    red, blue = (share_of_colour(mixed, colour) for colour in (RED, BLUE))
    assert red > 0.01
    assert blue == pytest.approx(2 * red, rel=0.3)
    assert share_of_colour(render(ETHANOL, np.array([BLUE] * 3)), RED) == 0


def test_chooses_of_each_class_by_size_and_evenly():
    molecules = [MolFromSmiles("C" * size) for size in range(1, 21)]
    classes = [0] * 10 + [1] * 10
    assert choose(molecules, classes, 3, range(1, 99)) == [0, 4, 9, 10, 14, 19]
    assert choose(molecules, classes, 3, range(9, 13)) == [8, 9, 10, 11]


def test_grid_has_a_panel_for_each_molecule():
    panels = [
        Panel(ETHANOL, np.array([0.5, 1, 1.5]), f"number {i}", right=i != 2)
        for i in range(5)
    ]
    figure = draw(panels, "five molecules")
    titles = [(axes.get_title(), axes.title.get_color()) for axes in figure.axes]
    assert titles[:5] == [(f"number {i}", WRONG if i == 2 else RIGHT) for i in range(5)]
    assert "five molecules" in figure.get_suptitle()
    figure.savefig(BytesIO())
