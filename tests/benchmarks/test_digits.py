import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmarks import digits
from benchmarks.harness import Training, train_epoch


def test_loads_real_images() -> None:
    x, y = digits.load()
    assert x.shape == (1797, 1, 8, 8)
    assert (x.min(), x.max()) == (0, 1)
    assert y.unique().tolist() == list(range(10))


@pytest.mark.parametrize("pool", digits.POOLS)
def test_a_cnn_learns_in_a_few_steps(pool: str) -> None:
    x, y = (part[:128] for part in digits.load())
    model = digits.DigitClassifier(digits.POOLS[pool]())
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = [train_epoch(model, [(x, y)], cross_entropy, optimizer) for _ in range(15)]
    assert losses[-1] < 0.7 * losses[0]


def test_the_trained_pooling_moves_all_mass_of_each_image() -> None:
    model, record = digits.train("uotp", 0, Training(epochs=1))
    assert record["readout"] == "uotp"
    assert record["test_accuracy"] > 0.3
    images = digits.load()[0][:3]
    solution = model.pool.solve(model.features(images))
    mass = solution.plan.view(3, -1).sum(1)
    torch.testing.assert_close(mass, torch.ones(3))
    assert solution.node_marginal.view(3, 8, 8).std() > 1e-4


def test_command_prints_a_table(capsys) -> None:
    digits.main(["--pool", "mean", "uotp", "--seeds", "1", "--epochs", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [
        "readout",
        lines[1].split()[1],
        "mean",
        "uotp",
    ]


def test_refuses_an_unknown_pooling() -> None:
    with pytest.raises(ValueError, match=r"no pooling 'median' .*mean, max, uotp"):
        digits.train("median", 0, Training())


@pytest.mark.parametrize("option", ["--seeds", "--epochs"])
def test_no_seeds_and_no_epochs_are_refused(option, capsys):
    assert digits.main([option, "0"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("digits: ")
    assert "must be at least 1" in line
