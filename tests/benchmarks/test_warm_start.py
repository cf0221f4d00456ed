import pytest
from scipy.stats import ttest_rel, wilcoxon

from benchmarks import warm_start
from benchmarks.graph_tasks import Shape
from benchmarks.harness import Training
from benchmarks.pretrained import Pretrained
from benchmarks.version import code_version
from benchmarks.warm_start import WarmStart, compare, learned, table

SHAPE = Shape(hidden=8, num_layers=2)


@pytest.fixture
def experiment(dataset, tmp_path) -> WarmStart:
    start, tuning = Training(2), Training(4, learning_rate=0.01)
    return WarmStart(Pretrained(dataset, start, SHAPE, tmp_path), tuning)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_both_arms_start_from_the_same_model(experiment, pooling: str) -> None:
    kept, swapped = (
        experiment.run(experiment.key(pooling, arm, 0)) for arm in ("kept", "swapped")
    )
    assert kept["changed"] == 0
    assert swapped["changed"] < 1e-6
    assert swapped["before"] == kept["before"]
    assert len(kept["history"]) == len(swapped["history"]) == 4
    assert swapped["parameters"] == kept["parameters"] + 3
    assert kept["learned"] == {}
    assert min(swapped["learned"]["distances"].values()) < 0.5


def test_keys_tell_the_arms_and_the_settings_apart(experiment) -> None:
    key = experiment.key("mean", "kept", 1)
    assert key[1:5] == ("signs", "mean, kept", 1, 0)
    other = WarmStart(experiment.pretrained, Training(5))
    assert other.key("mean", "kept", 1).configuration != key.configuration
    assert key.code == code_version(("warm_start",))
    assert experiment.pretrained.key("mean", 1).code == code_version(("pretrained",))


def runs(*accuracies: float) -> list[dict]:
    layer = {
        "coefficients": {"t": [[None]], "r_q": [[0.5]]},
        "distances": {"mean": 0.125, "max": 0.5},
    }
    return [
        {"test_accuracy": a, "before": {"test_accuracy": 0.5}, "learned": layer}
        for a in accuracies
    ]


def test_comparisons_are_paired() -> None:
    kept, swapped = [0.5, 0.6, 0.7], [0.52, 0.63, 0.69]
    text = compare(runs(*kept), runs(*swapped), "test_accuracy")
    signed, paired = wilcoxon(swapped, kept).pvalue, ttest_rel(swapped, kept).pvalue
    assert text.startswith("+1.3 ± 2.1 points ")
    assert f"Wilcoxon p = {signed:.2g}, t-test p = {paired:.2g}" in text


@pytest.mark.parametrize("swapped", [[0.5], [0.6, 0.6], [0.5, 0.5]])
def test_no_test_without_differences(swapped) -> None:
    assert (
        compare(runs(*[0.5] * len(swapped)), runs(*swapped), "test_accuracy")[-9:]
        == "(no test)"
    )


def test_what_was_learned_is_said() -> None:
    text = learned(runs(0.5, 0.6))
    assert (
        text == "t infinite, infinite; r_q 0.5, 0.5; mean at 1.2e-01, mean at 1.2e-01"
    )


def test_prints_and_resumes(dataset, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(warm_start, "load", lambda name, root: dataset)
    monkeypatch.setattr(warm_start, "Shape", lambda: SHAPE)
    arguments = ["--seeds", "2", "--epochs", "2", "--more", "2", "--pooling", "mean"]
    arguments += ["--out", str(tmp_path)]
    assert warm_start.main(arguments) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr(WarmStart, "run", None)
    assert warm_start.main(arguments) == 0
    again = capsys.readouterr().out
    assert "4 of 4 runs are recorded" in again
    assert first[first.index("\n| pooling") :] == again[again.index("\n| pooling") :]
    assert "| mean |" in again
    assert table({}).count("\n") == 1


def test_data_that_is_missing_is_named(capsys) -> None:
    assert warm_start.main(["--dataset", "MUTAG"]) == 2
    assert "'MUTAG' needs --root" in capsys.readouterr().err


def test_no_seeds_are_refused(capsys) -> None:
    assert warm_start.main(["--seeds", "0"]) == 2
    assert "--seeds must be at least 1 (got 0)" in capsys.readouterr().err


def test_runs_that_fail_are_counted(dataset, tmp_path, monkeypatch, capsys) -> None:
    def fail(self, key):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(warm_start, "load", lambda name, root: dataset)
    monkeypatch.setattr(WarmStart, "run", fail)
    assert warm_start.main(["--seeds", "1", "--out", str(tmp_path)]) == 1
    assert "4 run(s) failed" in capsys.readouterr().err
