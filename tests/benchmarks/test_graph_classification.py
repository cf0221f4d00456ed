import json

import pytest
import torch

from benchmarks import experiment, graph_tasks, tu
from benchmarks.graph_classification import DEMO, SIX, main, parse


@pytest.fixture
def command(write_tu, tmp_path):
    root = write_tu(labels=[0, 1, 2, 1, 0])
    return (
        f"--dataset SHAPES --root {root} --cache {tmp_path / 'cache'} "
        f"--out {tmp_path / 'out'} --readout mean uotp --seeds 2 --epochs 2 --hidden 8"
    ).split()


def test_trains_each_readout_at_each_seed(command, tmp_path, capsys):
    assert main(command) == 0
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    runs = [(run["readout"], run["fold"]) for run in map(json.loads, lines)]
    assert runs == [("mean", 0), ("uotp", 0), ("mean", 1), ("uotp", 1)]
    printed = capsys.readouterr().out
    assert "SHAPES: 40 graphs in 2 classes" in printed
    assert printed.count("\n| mean ") == printed.count("\n| uotp ") == 1


def test_a_second_time_nothing_is_trained(command, monkeypatch, capsys):
    main(command)
    table = capsys.readouterr().out.split("\n\n")[1]

    def fail(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr(experiment, "fit", fail)
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "4 of 4 runs are recorded" in printed
    assert table in printed
    for option in (["--fresh"], ["--dropout", "0"]):
        assert main([*command, *option]) == 1
        said = capsys.readouterr().err.splitlines()
        assert (
            sum("failed, AssertionError: trained again" in line for line in said) == 4
        )
        assert said[-1].startswith("4 run(s) failed")


def test_data_that_change_are_trained_on_again(command, write_tu, tmp_path, capsys):
    assert main(command) == 0
    graph_tasks.load_once.cache_clear()  # As another process has it.
    for path in (tmp_path / "root").rglob("*_node_labels.txt"):
        path.write_text("0\n1\n2\n0\n1\n" * 40)
    capsys.readouterr()
    assert main(command) == 0
    assert "are recorded" not in capsys.readouterr().out
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert len({json.loads(line)["configuration"] for line in lines}) == 2


def test_a_broken_set_is_one_line(command, tmp_path, capsys):
    (labels,) = (tmp_path / "root").rglob("*_graph_labels.txt")
    labels.write_text("1\n-1\n")
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"graph_classification: '{labels}', line 3 is missing")


def test_an_interrupted_run_goes_on(command, monkeypatch, tmp_path, capsys):
    real, calls = experiment.fit, []

    def interrupted(*args, **kwargs):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(kwargs["label"])
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(experiment, "fit", interrupted)
        assert main(command) == 130
    assert "goes on" in capsys.readouterr().out
    assert main(command) == 0
    assert "3 of 4 runs are recorded" in capsys.readouterr().out
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 4


def test_figures_need_weights_and_get_them(command, tmp_path, capsys):
    assert main(command) == 0
    for weights in (tmp_path / "out" / "models").glob("*uotp_1*"):
        weights.unlink()
    capsys.readouterr()
    assert main([*command, "--figures"]) == 0
    assert "3 of 4 runs are recorded" in capsys.readouterr().out
    figures = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert figures == {"accuracies.png", "coefficients.png"}


def test_the_demo_draws_molecules(tmp_path, capsys):
    command = "--demo --epochs 1 --seeds 1 --readout mean uotp --hidden 8 --out"
    assert main([*command.split(), str(tmp_path)]) == 0
    figures = {path.name for path in (tmp_path / "figures").iterdir()}
    assert figures == {"accuracies.png", "coefficients.png", "molecules_uotp.png"}
    printed = capsys.readouterr().out
    assert all(str(tmp_path / "figures" / name) in printed for name in figures)


def test_the_demo_sets_defaults_that_can_be_overridden():
    assert vars(parse(["--demo"])).items() >= DEMO.items()
    assert parse(["--demo", "--seeds", "7"]).seeds == 7
    assert parse(["--demo"]).readout == SIX
    assert not parse([]).figures


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--readout mean median", "no readout 'median'"),
        ("--readout mean mean", "names one twice"),
        ("--dataset MUTAG", "needs --root"),
        ("--dataset ../.. --root .", "must be the name of a folder in --root"),
        ("--dataset MUTAG --root no/such/folder", "must be an existing folder"),
        ("--seeds 0", "--seeds must be at least 1"),
        ("--threads 0", "--threads must be at least 1"),
        ("--epochs 0", "'epochs' and 'patience' must be at least 1"),
        ("--learning-rate -1", "'learning_rate' must be positive"),
        ("--dropout 1", "'dropout' must be in"),
        ("--hidden 0", "'hidden' must be at least 1"),
        ("--batch-size 0", "'batch_size' must be at least 1"),
    ],
)
def test_bad_input_is_one_line(options, message, capsys):
    assert main(options.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("graph_classification: ")
    assert message in line


def test_cuda_that_is_not_there(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--device", "cuda"]) == 2
    assert "finds no CUDA device" in capsys.readouterr().err


def test_an_unknown_dataset_is_one_line(tmp_path, monkeypatch, capsys):
    def no_such_set(root, name):
        raise FileNotFoundError(name)

    monkeypatch.setattr(tu, "TUDataset", no_such_set)
    assert main(["--dataset", "NOSUCH", "--root", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "dataset 'NOSUCH' is not in" in line
