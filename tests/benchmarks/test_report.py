import json
from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from benchmarks import curves, output
from benchmarks.landscape import CONFIRMATION, DEVELOPMENT, SECOND_CONFIRMATION
from benchmarks.readouts import CONCATENATED, CONVENTIONAL, DECISIVE
from benchmarks.report import BEST, POOLS, main, rivals

REAL, ALL = POOLS
READOUTS = ("mean", "max", "uotp", "uotp-rq0")
COMMON = {
    "application": "a",
    "fold": 0,
    "configuration": "c",
    "code": "v1",
    "torch": "2",
    "backend": "b",
    "num_test": 100,
    "test_ratio": 0.0,
    "readout_parameters": 3,
    "seconds": 1.0,
}


def line(dataset, readout, seed, rng):
    better = {"uotp": 0.1, "max": 0.05}.get(readout, 0.0)
    accuracy = 0.7 + better + 0.01 * rng.normal()
    transport = {"t": [[1.0 + seed]], "r_q": [[None]]} if readout == "uotp" else {}
    return {
        **COMMON,
        **{"dataset": dataset, "readout": readout, "seed": seed},
        **{"test_accuracy": accuracy, "val_accuracy": accuracy},
        **{"by_accuracy": {"test_accuracy": accuracy}, "coefficients": transport},
    }


@pytest.fixture
def drawn():
    """Pictures are drawn, which takes a second each."""


@pytest.fixture(autouse=True)
def _pictures(request, monkeypatch):
    """What tells of text and figures alone has pictures of one pixel."""
    if "drawn" not in request.fixturenames:
        pixel = BytesIO()
        Figure((1, 1), dpi=1).savefig(pixel)
        monkeypatch.setattr(
            curves, "save", lambda figure, path: output.write(path, pixel.getvalue())
        )


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    results = tmp_path / "results"
    results.mkdir()
    for application, sets in {"bags": 7, "images": 1}.items():
        lines = [
            json.dumps(line(f"{application}{number}", readout, seed, rng))
            for number in range(sets)
            for readout in READOUTS
            for seed in range(3)
        ]
        (results / f"{application}.jsonl").write_text("\n".join(lines))
    (results / "notes.md").write_text("First.\n\n**Second**.\n")
    return results


@pytest.fixture
def command(folder, tmp_path):
    return [
        *("--results", str(folder), "--markdown", str(tmp_path / "docs" / "r.md")),
        *("--images", str(tmp_path / "docs" / "i"), "--page", str(tmp_path / "r.html")),
    ]


@pytest.mark.usefixtures("drawn")
def test_writes_page_pictures_and_figures(command, folder, tmp_path):
    assert main(command) == 0
    text = (tmp_path / "docs" / "r.md").read_text()
    assert text.startswith("# Results\n\nFirst.\n\n**Second**.\n\n## Bags\n\n84 ru")
    assert "| bags0    |    3 |           100 |               max |" in text
    assert "| uotp, 1          |     2.00 | inf |" in text
    pictures = {path.name for path in (tmp_path / "docs" / "i").iterdir()}
    assert pictures == {
        *("results_bags_ranks.png", "results_bags_regret.png"),
        "results_real_data_ranks.png",
    }
    assert all(f"i/{name}" in text for name in pictures)
    for name in pictures:
        assert imread(tmp_path / "docs" / "i" / name)[..., :3].std() > 0.05
    page = (tmp_path / "r.html").read_text()
    assert "<p><strong>Second</strong>.</p>" in page
    assert "<h2>Images</h2>" in page


def test_shows_what_the_plan_looks_at(command, tmp_path):
    picture = tmp_path / "docs" / "i" / "shares_bag.png"
    picture.parent.mkdir(parents=True)
    Figure((1, 1)).savefig(picture)
    main(command)
    text = (tmp_path / "docs" / "r.md").read_text()
    assert "![What the plan looks at: does the bag hold a 9?](i/shares_bag.png)" in text
    assert "shares_image.png" not in text


def test_the_summary_has_the_figures(command, folder):
    main(command)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["bags"]["bags3"]["uotp"]["n"] == 3
    assert summary["bags"]["bags3"]["uotp"]["mean"] == pytest.approx(0.8, abs=0.03)
    assert summary["bags"]["mean_rank"]["uotp"] == 1
    assert set(summary["tests"]) == {"bags", REAL}
    against_mean = summary["tests"][REAL]["uotp"]["mean"]
    assert against_mean["mean"] == pytest.approx(0.1, abs=0.01)
    assert against_mean["p"] == pytest.approx(2 / 2**8)
    assert against_mean["holm"] == pytest.approx(3 * 2 / 2**8)


def test_another_readout_can_be_judged(command, folder):
    main([*command, "--ours", "max", "uotp"])
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["ours"] == ["max", "uotp"]
    against = {ours: set(found) for ours, found in summary["tests"][REAL].items()}
    assert against == {
        "max": {BEST, "mean"},
        "uotp": {BEST, "mean", "max", "uotp-rq0"},
    }


def test_the_best_conventional_readout_is_a_rival_too(command, folder, tmp_path):
    main([*command, "--ours", "uotp"])
    summary = json.loads((folder / "summary.json").read_text())
    # In these records validation accuracy is test accuracy.
    ahead = [
        row["uotp"]["mean"] - max(row["mean"]["mean"], row["max"]["mean"])
        for part in ("bags", "images")
        for name, row in summary[part].items()
        if name != "mean_rank"
    ]
    found = summary["tests"][REAL]["uotp"][BEST]
    assert found["mean"] == pytest.approx(np.mean(ahead))
    assert (found["ahead"], found["behind"]) == (8, 0)
    assert found["holm"] is None
    assert f"| {BEST} |" in (tmp_path / "docs" / "r.md").read_text()


@pytest.mark.parametrize("ours", ["uotp", "uotp-spread"])
def test_ours_must_beat_all_that_decide_and_itself_without_transport(ours):
    usual = [name for name in DECISIVE if name in CONVENTIONAL | CONCATENATED]
    assert {"gated-attention", "softmax"} <= {*usual}
    assert rivals(ours, DECISIVE) == [*usual, "softmax1", f"{ours}-rq0"]


def test_the_parts_of_the_landscape_are_told_apart(command, folder, tmp_path):
    rng = np.random.default_rng(1)
    points = {
        "development": DEVELOPMENT[:6],
        "confirmation": CONFIRMATION[:7],
        "second confirmation": SECOND_CONFIRMATION[:5],
    }
    lines = [
        json.dumps(line(name, readout, 0, rng))
        for names in points.values()
        for name in names
        for readout in READOUTS
    ]
    (folder / "landscape.jsonl").write_text("\n".join(lines))
    main(command)
    text = (tmp_path / "docs" / "r.md").read_text()
    for part, names in points.items():
        section = text.split(f"## Landscape: {part}\n")[1].split("\n## ")[0]
        assert f"{4 * len(names)} runs on {len(names)} data sets" in section
        picture = f"results_landscape_{part.replace(' ', '_')}_ranks.png"
        assert (picture in section) == (len(names) > 5)
        assert ("(here: 5 data sets)" in section) == (len(names) == 5)
    summary = json.loads((folder / "summary.json").read_text())
    parts = ("bags", "landscape: development", "landscape: confirmation")
    assert set(summary["tests"]) == {*parts, REAL, ALL}
    assert (
        "20 data sets of the sections above" in text.split(f"## {ALL.capitalize()}")[1]
    )
    assert "\n8 data sets of the sections above" in text.split("## Real data")[1]


def added(folder, names, readouts, seeds):
    rng = np.random.default_rng(2)
    lines = [
        json.dumps(line(name, readout, seed, rng))
        for name in names
        for readout in readouts
        for seed in range(seeds)
    ]
    with (folder / "bags.jsonl").open("a") as file:
        file.write("\n" + "\n".join(lines))


def test_readouts_that_some_data_sets_have_are_beside(command, folder, tmp_path):
    added(folder, ("bags1", "bags4"), ("rotp", "gmt"), 2)
    main(command)
    text = (tmp_path / "docs" / "r.md").read_text()
    first, more = text.split("More readouts, in 2 runs a data set, on bags1, bags4:")
    assert "| rotp " not in first
    assert "| rotp " in more.split("| data set")[0]
    assert "results_bags_more.png" in more


@pytest.mark.parametrize("count", [5, 6])
def test_enough_data_sets_with_more_readouts_are_pooled(
    command, folder, tmp_path, count
):
    added(folder, [f"bags{n}" for n in range(count)], ("gmt", "dynamic", "rotp"), 2)
    main(command)
    tests = json.loads((folder / "summary.json").read_text())["tests"]
    name = f"{REAL}: more readouts"
    text = (tmp_path / "docs" / "r.md").read_text()
    assert (name in tests) == (f"## {name.capitalize()}" in text) == (count == 6)
    if count == 6:
        assert {*tests[name]["uotp"]} == {BEST, "dynamic", "gmt", "uotp-rq0"}
        assert tests[name]["uotp"]["gmt"]["ahead"] == 6
        section = text.split(f"## {name.capitalize()}\n\n")[1]
        assert section.startswith("6 data sets of the sections above, together.")
        assert "| rotp " in section


@pytest.mark.parametrize(("readouts", "seeds"), [(["rotp", "gmt"], 1), (["rotp"], 2)])
def test_few_readouts_or_runs_more_are_only_named(
    command, folder, tmp_path, readouts, seeds
):
    added(folder, ("bags1", "bags4"), readouts, seeds)
    main(command)
    text = (tmp_path / "docs" / "r.md").read_text()
    assert "More readouts" not in text
    assert f"Recorded in too few runs to be ranked: {', '.join(readouts)}." in text
    assert "84 runs on 7 data sets" in text


def test_a_data_set_without_the_usual_readouts_is_left_out(command, folder, tmp_path):
    added(folder, ["bags7"], ["mean", "max", "uotp"], 3)
    main(command)
    summary = json.loads((folder / "summary.json").read_text())
    assert "bags7" not in summary["bags"]
    assert summary["bags"]["mean_rank"].keys() == {*READOUTS}
    first = (tmp_path / "docs" / "r.md").read_text().split("\n\n| readout")[0]
    assert "84 runs on 7 data sets" in first
    assert first.endswith("loss. Left out, with readouts still to be run: bags7.")


def test_equal_differences_have_no_interval(command, folder, tmp_path):
    rng = np.random.default_rng(5)
    lines = [
        {**line("bags0", name, seed, rng), "test_accuracy": 0.7, "val_accuracy": 0.7}
        for name in READOUTS
        for seed in range(3)
    ]
    with (folder / "bags.jsonl").open("a") as file:
        file.write("\n" + "\n".join(map(json.dumps, lines)))
    main(command)
    text = (tmp_path / "docs" / "r.md").read_text()
    (row,) = [row for row in text.splitlines() if row.startswith("| bags0 ")]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells == ["bags0", "3", "100", "mean", "70.0", "+0.00", "", "", ""]
    assert "-0.0" not in text


def test_runs_that_diverged_are_counted(command, folder, tmp_path):
    rng = np.random.default_rng(6)
    diverged = {**line("images0", "max", 1, rng), "diverged": True}
    with (folder / "images.jsonl").open("a") as file:
        file.write("\n" + json.dumps(diverged))
    main(command)
    text = (tmp_path / "docs" / "r.md").read_text()
    assert "\n12 runs, 1 of which diverged, on 1 data set;" in text


def test_what_is_in_no_plan_is_not_reported(command, folder, tmp_path):
    rng = np.random.default_rng(3)
    with (folder / "bags.jsonl").open("a") as file:
        file.write("\n" + json.dumps(line("bags1", "given up", 0, rng)))
    main(command)
    assert "given up" not in (tmp_path / "docs" / "r.md").read_text()


def test_an_area_that_is_nowhere_known_is_blank(command, folder, tmp_path):
    rng = np.random.default_rng(4)
    lines = [
        json.dumps({**line("MNIST-bags 10 x 50", name, 0, rng), "test_auc": None})
        for name in READOUTS
    ]
    with (folder / "bags.jsonl").open("a") as file:
        file.write("\n" + "\n".join(lines))
    assert main(command) == 0
    area = (tmp_path / "docs" / "r.md").read_text().split("Area under the ROC")[1]
    assert "| mean     |                    |" in area


def test_mnist_bags_are_compared_by_auc(command, folder, tmp_path):
    rng = np.random.default_rng(4)
    lines = [
        json.dumps({**line(f"MNIST-bags 10 x {size}", name, 0, rng), "test_auc": auc})
        for size, auc in ((50, 0.75), (100, 0.875))
        for name in READOUTS
    ]
    with (folder / "bags.jsonl").open("a") as file:
        file.write("\n" + "\n".join(lines))
    main(command)
    text = (tmp_path / "docs" / "r.md").read_text()
    area = text.split("Area under the ROC curve, in percent, at the same epochs:")[1]
    assert "75.0 ± 0.0 |          87.5 ± 0.0 |" in area.split("| data set")[0]


def test_many_data_sets_are_rows(command, folder, tmp_path):
    rng = np.random.default_rng(5)
    names = (*READOUTS, "sum")
    lines = [
        json.dumps(line(f"bags{number}", name, seed, rng))
        for number in range(7, 9)
        for name in names
        for seed in range(3)
    ]
    with (folder / "bags.jsonl").open("a") as file:
        file.write("\n" + "\n".join(lines))
    main(command)
    scores = (tmp_path / "docs" / "r.md").read_text().split("## Bags")[1].split("\n\n")
    head, _, *rows = scores[2].splitlines()
    assert [cell.strip() for cell in head.split("|")[1:-1]] == ["data set", *READOUTS]
    assert [row.split()[1] for row in rows] == [f"bags{n}" for n in range(9)]


def test_records_of_another_command_are_one_line(command, folder, capsys):
    other = {**COMMON, "dataset": "d", "readout": "mean", "seed": 0}
    other = json.dumps({**other, "test_accuracy": 0.5})
    (folder / "bags.jsonl").write_text(other)
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"report: '{folder / 'bags.jsonl'}' has a record without")


@pytest.mark.parametrize("accuracy", ["high", None, float("nan"), "absent"])
def test_lines_without_a_test_accuracy_are_skipped_and_counted(
    accuracy, command, folder, capsys
):
    other = {**COMMON, "dataset": "bags0", "readout": "mean", "seed": 9}
    if accuracy != "absent":
        other["test_accuracy"] = accuracy
    with (folder / "bags.jsonl").open("a") as file:
        file.write(f"\n{json.dumps(other)}\n")
    assert main(command) == 0
    said = f"1 incomplete line(s) in {folder / 'bags.jsonl'} skipped\n"
    assert capsys.readouterr().err == said


def keep(folder, readouts):
    for path in folder.glob("*.jsonl"):
        lines = path.read_text().splitlines()
        kept = [line for line in lines if json.loads(line)["readout"] in readouts]
        path.write_text("\n".join(kept))


def test_one_readout_needs_no_picture_of_ranks(command, folder, tmp_path):
    keep(folder, ["mean"])
    assert main(command) == 0
    text = (tmp_path / "docs" / "r.md").read_text()
    assert "| mean    |         70" in text
    assert "Mean ranks" not in text


def test_without_a_conventional_readout_nothing_is_judged(command, folder, capsys):
    keep(folder, ["uotp"])
    assert main(command) == 2
    *left_out, line = capsys.readouterr().err.splitlines()
    assert left_out[1] == "left out, no conventional readout was run: images0"
    assert line.startswith("report: no results in ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ours", "median"], "no readout 'median'"),
        (["--ours", "uotp", "uotp"], "--ours names one twice"),
        (["--results", "/nowhere"], "no results in '/nowhere'"),
    ],
)
def test_bad_input_is_one_line(options, message, capsys):
    assert main(options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("report: ")
    assert message in line
