r"""Draws molecules with each atom coloured by its share of the transport."""

from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.image import imread
from rdkit.Chem import Mol
from rdkit.Chem.Draw import rdMolDraw2D
from rdkit.Chem.rdDepictor import Compute2DCoords

PIXELS = (600, 420)
COLUMNS = 4
LOOK = {"atomHighlightsAreCircles": True, "highlightRadius": 0.42, "padding": 0.06}
# Without the darkest ends, on which the letters of an atom could not be read.
COLOURS = ListedColormap(colormaps["RdBu_r"](np.linspace(0.12, 0.88, 256)))
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


def scale(shares: Sequence[np.ndarray]) -> LogNorm:
    r"""A logarithmic scale around 1 that all but the farthest shares fit in."""
    reach = np.quantile(np.abs(np.log(np.concatenate(shares))), 0.97)
    reach = max(float(reach), 1e-3)
    return LogNorm(np.exp(-reach), np.exp(reach))


def draw(panels: Sequence[Panel], title: str) -> Figure:
    r"""A grid of the molecules, four in a row, under one colour scale."""
    rows = -(-len(panels) // COLUMNS)
    size = (3.3 * COLUMNS + 1.4, 2.9 * rows + 1.0)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    norm = scale([panel.share for panel in panels])
    for axes in grid.flat:
        axes.axis("off")
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw_panel(axes, panel, norm)
    _draw_scale(figure, grid, norm)
    figure.suptitle(f"{title}\n", fontsize=15)
    return figure


def _draw_scale(figure: Figure, grid: np.ndarray, norm: LogNorm) -> None:
    mapped = ScalarMappable(norm, COLOURS)
    bar = figure.colorbar(mapped, ax=grid, shrink=0.75, aspect=28, extend="both")
    ticks = norm.inverse(np.linspace(0, 1, 5)).tolist()
    bar.set_ticks(ticks, labels=[f"× {tick:.3g}" for tick in ticks])
    bar.minorticks_off()
    bar.set_label("share of the transport (× 1: an equal share for each atom)", size=12)


def _draw_panel(axes: Axes, panel: Panel, norm: LogNorm) -> None:
    colours = COLOURS(norm(panel.share))[:, :3]
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
