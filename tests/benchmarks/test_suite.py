import errno
import json
import os
import subprocess
import sys

import pytest

from benchmarks import multi_instance, suite
from benchmarks.execute import APPLICATIONS
from benchmarks.readouts import DECISIVE
from benchmarks.suite import QUICK, QUICK_DATA, SUITE, main, parse, plan

POINT = "count 2:4"


@pytest.fixture
def command(tmp_path):
    return [
        *("--application", "landscape", "--dataset", POINT, "--runs", "2"),
        *("--readout", "mean", "uotp", "--epochs", "1", "--out", str(tmp_path)),
    ]


def lines(folder):
    return (folder / "landscape.jsonl").read_text().splitlines()


def test_records_a_line_for_each_run(command, tmp_path):
    assert main(command) == 0
    found = [json.loads(line) for line in lines(tmp_path)]
    assert [(run["readout"], run["seed"]) for run in found] == [
        ("mean", 0),
        ("uotp", 0),
        ("mean", 1),
        ("uotp", 1),
    ]
    assert all(0 <= run["test_accuracy"] <= 1 for run in found)
    assert all(len(line) < 1000 for line in lines(tmp_path))


def test_other_processes_find_what_the_command_runs(command, tmp_path):
    program = [sys.executable, "-m", "benchmarks.suite", *command, "--jobs", "2"]
    subprocess.run(program, check=True, capture_output=True)
    assert len(lines(tmp_path)) == 4


def test_a_second_time_goes_on(command, tmp_path, capsys):
    main([*command, "--runs", "1"])
    first = lines(tmp_path)
    assert main(command) == 0
    assert "2 of 4 runs are recorded" in capsys.readouterr().out
    assert lines(tmp_path)[:2] == first
    assert len(lines(tmp_path)) == 4


def test_epochs_are_part_of_the_configuration(command, tmp_path):
    main([*command, "--runs", "1"])
    main([*command, "--runs", "1", "--epochs", "2"])
    assert len({json.loads(line)["configuration"] for line in lines(tmp_path)}) == 2


@pytest.fixture
def root(tmp_path):
    (tmp_path / "mil").mkdir()
    return tmp_path


def bags(root, *names):
    chosen = ("--application", "bags", "--dataset", *names, "--runs", "1")
    places = ("--root", str(root), "--out", str(root / "out"))
    return [*chosen, *places, "--readout", "mean", "--epochs", "1"]


def test_goes_on_without_data_that_are_missing(root, capsys):
    assert main(bags(root, "musk1", "digit bags")) == 0
    printed = capsys.readouterr().out
    assert "bags, musk1: skipped, there is no" in printed
    assert printed.splitlines()[-1] == "skipped, not there: bags, musk1"
    assert (root / "out" / "bags.jsonl").read_text().count("digit bags") == 1


def test_nothing_at_all_is_an_error(root, capsys):
    assert main(bags(root, "musk1", "musk2")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "suite: none of the data sets asked for is there"


@pytest.mark.parametrize("name", ["some.csv", "some.mat"])
def test_goes_on_with_data_that_are_broken_and_says_so(root, name, capsys):
    (root / "mil" / name).write_text("this is neither")
    assert main(bags(root, "some", "digit bags")) == 1
    said = capsys.readouterr().err
    assert f"bags, some: broken, ValueError: '{root / 'mil' / name}' cannot be" in said
    assert said.splitlines()[-1] == "broken: bags, some"
    assert (root / "out" / "bags.jsonl").read_text().count("digit bags") == 1


def bag_lines(count):
    return "".join(f"{bag % 2},{bag},{bag}.5,{bag % 3}\n" * 2 for bag in range(count))


def test_says_what_was_read(root, capsys):
    (root / "mil" / "some.csv").write_text(bag_lines(40))
    assert main(bags(root, "some")) == 0
    said = "bags, some: 40 bags, 80 instances, 2 features, 20 + 20 in the classes"
    assert said in capsys.readouterr().out.splitlines()


def test_a_file_of_your_own_that_changes_is_run_again(root, capsys):
    path = root / "mil" / "some.csv"
    path.write_text(bag_lines(40))
    main(bags(root, "some"))
    multi_instance.read_once.cache_clear()  # As another process has it.
    path.write_text(bag_lines(60))
    capsys.readouterr()
    assert main(bags(root, "some")) == 0
    assert "60 bags" in capsys.readouterr().out
    assert len((root / "out" / "bags.jsonl").read_text().splitlines()) == 2


def test_a_published_file_that_is_cut_short_is_refused(root, capsys):
    (root / "mil" / "musk1.csv").write_text(bag_lines(40))
    assert main(bags(root, "musk1", "digit bags")) == 1
    said = capsys.readouterr().err
    assert "musk1.csv' is not musk1 as published: it has 40 bags" in said


def test_a_disk_that_is_full_ends_it_in_one_line(
    command, tmp_path, monkeypatch, capsys
):
    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    assert main(command) == 1
    place = tmp_path / "landscape.jsonl"
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"suite: [Errno 28] No space left on device: '{place}'"
    assert place.read_bytes() == b""


def test_a_run_that_fails_is_counted(root, monkeypatch, capsys):
    def fail(self, key):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(suite.Execute, "__call__", fail)
    assert main([*bags(root, "digit bags"), "--runs", "3"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert (
        said[0]
        == "digit bags, mean, fold 0, seed 0: failed, RuntimeError: out of memory"
    )
    assert said[-1] == "3 run(s) failed; the same command tries them again"


def test_an_interruption_is_said(command, monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(suite, "run_missing", interrupted)
    assert main(command) == 130
    assert "goes on" in capsys.readouterr().out


def test_quick_is_a_part_of_the_whole():
    args = parse(["--quick"])
    planned = plan(args, None)
    assert {task.name for task in planned.tasks} == set(QUICK_DATA)
    assert planned.readouts == QUICK
    assert set(QUICK) <= set(SUITE)
    assert {task.application for task in planned.tasks} == set(APPLICATIONS)


def test_every_readout_sees_the_same_folds_and_seeds():
    names = ["mean", "uotp", "sagpool", "set-transformer"]
    planned = plan(parse(["--readout", *names]), None)
    for task in planned.tasks:
        places = {}
        for key in planned.keys(task):
            places.setdefault(key.readout, []).append((key.fold, key.seed))
        assert places["mean"] == places["uotp"]
        assert len(set(places["mean"])) == task.runs
        assert ("sagpool" in places) == (task.application == "graphs")
        assert ("set-transformer" in places) == (task.name != "REDDIT-BINARY")


def test_long_tasks_have_the_readouts_that_decide():
    planned = plan(parse([]), None)
    for task in planned.tasks:
        found = {key.readout for key in planned.keys(task)}
        assert found == {*DECISIVE} if task.long else found > {*DECISIVE}
    assert {task.name for task in planned.tasks if task.long} == {
        *("NCI1", "REDDIT-BINARY", "CIFAR-10 subset"),
        *(f"MNIST-bags 10 x {number}" for number in (100, 200, 500)),
        *("MNIST-bags 50 x 50", "MNIST-bags 100 x 50"),
    }


def test_the_folder_of_the_environment_must_hold_data(monkeypatch, capsys):
    monkeypatch.setenv("UOTP_DATA", "/nowhere")
    assert main([]) == 2
    assert "UOTP_DATA must be a folder with one of tu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--readout median", "no readout 'median'"),
        ("--dataset nowhere", "no dataset 'nowhere' (choose from: solubility, MUTAG"),
        ("--runs 0", "--runs must be at least 1 (got 0)"),
        ("--jobs 0", "--jobs must be at least 1 (got 0)"),
        ("--readout max mean max", "--readout names one twice (got max mean max)"),
        ("--root /nowhere", "a folder with one of tu, mil, mnist, cifar10 (got '/nowh"),
        ("--quick --dataset MUTAG nowhere", "no dataset 'nowhere' (choose from:"),
    ],
)
def test_bad_input_is_one_line(options, message, capsys):
    assert main(options.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("suite: ")
    assert message in line
