r"""Draws molecules with each atom coloured by its share of the transport."""

from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import imread
from rdkit.Chem import Mol
from rdkit.Chem.Draw import rdMolDraw2D
from rdkit.Chem.rdDepictor import Compute2DCoords

from torch_geometric_uotp.plot import share_bar, share_colours, share_scale

PIXELS = (600, 420)
COLUMNS = 4
LOOK = {"atomHighlightsAreCircles": True, "highlightRadius": 0.42, "padding": 0.06}
RIGHT, WRONG = "#1a7f37", "#b3261e"


class Panel(NamedTuple):
    r"""One molecule of the grid.

    Args:
        molecule (rdkit.Chem.Mol): With N heavy atoms.
        share (numpy.ndarray): Of shape [N], positive; 1 for an equal share.
        title (str): What to write above it.
        right (bool): Whether the model predicted its class.
    """

    molecule: Mol
    share: np.ndarray
    title: str
    right: bool


def choose(
    molecules: Sequence[Mol], classes: Sequence[int], per_class: int, atoms: range
) -> list[int]:
    r"""Positions of molecules to show, ``per_class`` of each class.

    They are evenly spaced among those whose number of atoms is in ``atoms``.
    """
    chosen: list[int] = []
    for wanted in sorted(set(classes)):
        among = [
            place
            for place, molecule in enumerate(molecules)
            if classes[place] == wanted and molecule.GetNumAtoms() in atoms
        ]
        even = np.linspace(0, len(among) - 1, min(per_class, len(among)))
        chosen.extend(among[place] for place in even.round().astype(int))
    return chosen


def draw(panels: Sequence[Panel], title: str) -> Figure:
    r"""A grid of the molecules, four in a row, under one colour scale."""
    rows = -(-len(panels) // COLUMNS)
    size = (3.3 * COLUMNS + 1.4, 2.9 * rows + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    scale = share_scale(*(panel.share for panel in panels))
    for axes in grid.flat:
        axes.axis("off")
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw_panel(axes, panel, scale)
    share_bar(scale, grid)
    figure.suptitle(f"{title}\n", fontsize=15)
    return figure


def _draw_panel(axes: Axes, panel: Panel, scale: LogNorm) -> None:
    colours = share_colours()(scale(panel.share))[:, :3]
    axes.imshow(imread(BytesIO(render(panel.molecule, colours)), format="png"))
    axes.set_title(panel.title, fontsize=11, color=RIGHT if panel.right else WRONG)


def render(molecule: Mol, colours: np.ndarray) -> bytes:
    r"""A PNG of the molecule, laid out along its length.

    Args:
        molecule (rdkit.Chem.Mol): With N heavy atoms.
        colours (numpy.ndarray): The discs behind them, RGB in [0, 1], of shape
            [N, 3].
    """
    flat = Mol(molecule)
    Compute2DCoords(flat, canonOrient=True)
    canvas = rdMolDraw2D.MolDraw2DCairo(*PIXELS)
    options = canvas.drawOptions()
    options.useBWAtomPalette()
    for name, value in LOOK.items():
        setattr(options, name, value)
    rdMolDraw2D.PrepareAndDrawMolecule(
        canvas,
        flat,
        highlightAtoms=list(range(len(colours))),
        highlightAtomColors=dict(enumerate(map(tuple, colours.tolist()))),
        highlightBonds=[],
    )
    canvas.FinishDrawing()
    return bytes(canvas.GetDrawingText())
