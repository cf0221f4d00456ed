import numpy as np
import torch

from benchmarks.bag_figure import draw, main, train
from benchmarks.harness import Training
from torch_geometric_uotp import plot


def test_draws_the_shares_of_bags_that_hold_the_digit(tmp_path):
    main(["--epochs", "1", "--out", str(tmp_path)])
    assert (tmp_path / "shares_bag.png").stat().st_size > 1000


def test_digits_are_sorted_by_their_shares():
    model, bags = train(Training(1))
    figure = draw(model, bags)
    solution = model.readout.solve(model.encoder(bags.x), bags.batch)
    shares = plot.shares(solution, 0)
    assert np.isclose(shares.mean(), 1, atol=1e-5)
    images = bags.x[bags.batch == 0].view(-1, 8, 8)
    last = figure.axes[len(images) - 1].images[0].get_array()
    drawn = torch.from_numpy(np.asarray(last))
    assert torch.equal(drawn, images[int(shares.argmax())])
