import pytest
import torch
from torch.nn import Identity

from benchmarks.readouts import resolve
from benchmarks.sets import SetClassifier, SetExamples

COUNTS = torch.tensor([2, 1, 3])
X = torch.arange(12.0).view(6, 2)
Y = torch.tensor([0, 1, 0])


def test_select_gives_sets_in_the_order_asked_for():
    sets, y = SetExamples.from_counts(X, COUNTS, Y).select(torch.tensor([2, 0]))
    assert torch.equal(sets.x, X[[3, 4, 5, 0, 1]])
    assert sets.batch.tolist() == [0, 0, 0, 1, 1]
    assert sets.num_sets == 2
    assert y.tolist() == [0, 0]


def test_an_instance_can_be_in_many_sets():
    rows = torch.tensor([5, 5, 0, 1, 5, 2])
    examples = SetExamples(X, torch.tensor([0, 2, 3, 6]), Y, rows=rows)
    assert torch.equal(examples.select(torch.tensor([0]))[0].x, X[[5, 5]])


def test_standardises_by_the_sets_told():
    examples = SetExamples.from_counts(X.clone(), COUNTS, Y, standardise=True)
    x = examples.fitted(torch.tensor([0, 1])).instances(torch.tensor([0, 1]))[0]
    torch.testing.assert_close(x.mean(0), torch.zeros(2))
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(2))
    plain = SetExamples.from_counts(X, COUNTS, Y)
    assert plain.fitted(torch.tensor([0])) is plain


def test_a_constant_feature_is_only_centred():
    x = torch.full((6, 1), 7.0)
    examples = SetExamples.from_counts(x, COUNTS, Y, standardise=True)
    assert torch.equal(examples.fitted(torch.arange(3)).x, torch.zeros(6, 1))


@pytest.mark.parametrize("readout", ["mean", "mean||max", "uotp"])
def test_classifies_sets_whatever_their_order(readout):
    examples = SetExamples.from_counts(X, COUNTS, Y)
    model = SetClassifier(Identity(), 2, 3, resolve(readout)).eval()
    forward = model(examples.select(torch.tensor([0, 1, 2]))[0])
    backward = model(examples.select(torch.tensor([2, 1, 0]))[0])
    assert forward.shape == (3, 3)
    torch.testing.assert_close(forward, backward.flip(0))
