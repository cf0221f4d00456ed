import runpy
import sys
from pathlib import Path

import pytest
import torch

from torch_geometric_uotp import UOTPAggregation, plot

SOLUTION = UOTPAggregation(4).solve(torch.randn(5, 4), torch.tensor([0, 0, 2, 2, 2]))
EDGES = torch.tensor([[0], [1]])
PLOTS = {
    "plan": lambda **where: plot.plan(SOLUTION, **where),
    "on_image": lambda **where: plot.on_image(
        SOLUTION, torch.rand(4, 2), (2, 1), **where
    ),
    "on_graph": lambda **where: plot.on_graph(SOLUTION, EDGES, **where),
    "coefficients": lambda **where: plot.coefficients(UOTPAggregation(4), **where),
}


@pytest.mark.parametrize("name", PLOTS)
def test_draws_on_new_axes_or_on_those_given(name: str) -> None:
    from matplotlib.figure import Figure

    new = PLOTS[name]()
    assert new.has_data()
    axes = Figure().add_subplot()
    assert PLOTS[name](axes=axes) is axes
    for drawn in (new, axes):
        drawn.figure.canvas.draw()


@pytest.mark.parametrize("name", ["matplotlib", "networkx"])
def test_says_which_package_is_missing(name: str, monkeypatch) -> None:
    for module in [m for m in sys.modules if m.split(".")[0] == name]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"needs {name}, .*pip install {name}"):
        PLOTS["on_graph"]()


def test_importing_needs_no_matplotlib(monkeypatch) -> None:
    for name in ("matplotlib", "networkx", "scipy"):
        monkeypatch.setitem(sys.modules, name, None)
    for path in Path(plot.__file__).parent.glob("*.py"):
        assert runpy.run_path(str(path))


@pytest.mark.parametrize("number", [1, 3, -1])
def test_refuses_sets_without_nodes(number: int) -> None:
    for draw in (plot.plan, plot.shares):
        with pytest.raises(ValueError, match=rf"among the 3 .*got {number}\)"):
            draw(SOLUTION, number)
