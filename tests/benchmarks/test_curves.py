from io import BytesIO

import numpy as np
import pytest

from benchmarks.curves import accuracies, coefficients, costs, save, trajectories


def record(readout: str, seed: int, accuracy: float, epochs: int = 0):
    watched = [
        {"t": [[1.0 + epoch]], "r_p": [[0.5]], "r_q": [[0.9 - epoch / 10]]}
        for epoch in range(epochs)
    ]
    return {
        "dataset": "set",
        "readout": readout,
        "seed": seed,
        "test_accuracy": accuracy,
        "majority_accuracy": 0.4,
        "best_epoch": 1,
        "watched": watched,
    }


RECORDS = [
    record("mean", 0, 0.6),
    record("uotp", 0, 0.7, epochs=3),
    record("mean", 1, 0.8),
    record("uotp", 1, 0.7, epochs=5),
]


def test_accuracies_show_every_seed_mean_and_deviation():
    figure = accuracies(RECORDS)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mean", "uotp"]
    assert [text.get_text() for text in axes.texts] == ["70.0", "70.0"]
    assert axes.lines[0].get_xdata() == pytest.approx([60, 80])
    (bar, _) = axes.containers
    (segment,) = bar.lines[2][0].get_segments()
    assert segment[:, 0] == pytest.approx([70 - 200**0.5, 70 + 200**0.5])
    assert "40.0 %" in axes.get_xlabel()
    figure.savefig(BytesIO())


def test_accuracies_of_one_seed():
    (axes,) = accuracies(RECORDS[:2]).axes
    assert [text.get_text() for text in axes.texts] == ["60.0", "70.0"]


def test_trajectories_have_a_column_for_each_step_and_head():
    watched = [{name: [[1, 2], [3, 4]] for name in ("t", "r_p", "r_q")}] * 6
    paths = trajectories({"watched": watched})
    assert paths["t"].shape == (6, 4)
    assert paths["r_q"][0].tolist() == [1, 2, 3, 4]


def test_coefficients_are_drawn_for_transports_only(tmp_path):
    figure = coefficients(RECORDS)
    sharpness = figure.axes[0]
    drawn = [line for line in sharpness.lines if len(line.get_xdata()) > 1]
    assert [np.asarray(line.get_ydata()).tolist() for line in drawn] == [
        [1, 2, 3],
        [1, 2, 3, 4, 5],
    ]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["uotp", "epoch kept"]
    path = save(figure, tmp_path / "new" / "coefficients.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_costs_have_a_panel_for_each_sweep():
    sweep = {"at": [1, 10, 100], "ns": [0.5, 0.4, 2.0]}
    figure = costs({"elements": sweep, "steps": sweep})
    assert [axes.get_xlabel() for axes in figure.axes] == ["elements", "steps"]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0.5, 0.4, 2.0]
    assert figure.axes[0].get_yscale() == "log"
    figure.savefig(BytesIO())
