import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import Linear, Module, Sequential, Tanh
from torch_geometric.nn.aggr import (
    AttentionalAggregation,
    MaxAggregation,
    MeanAggregation,
    SoftmaxAggregation,
    SumAggregation,
)

from benchmarks.graph_tasks import Shape
from benchmarks.harness import Training
from benchmarks.pretrained import Pretrained, load
from torch_geometric_uotp import UOTPAggregation

CHANNELS = 32
SOLVERS = {
    "sinkhorn": {"solver": "sinkhorn"},
    "badmm-entropy": {"solver": "badmm"},
    "badmm-quadratic": {"solver": "badmm", "regularizer": "quadratic"},
}
FEATURES = pytest.mark.parametrize("features", ["random", "trained"], indirect=True)


class Sets(NamedTuple):
    """Nodes of sets, the last one empty."""

    x: Tensor
    index: Tensor
    num_sets: int


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads gain nothing on tiny graphs, and wait for cores that are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Sets:
    """What a GIN, trained for a few epochs, hands its readout on test molecules."""
    try:
        dataset = load("solubility", None)
    except ValueError as error:
        pytest.skip(str(error))
    training = Training(4, learning_rate=0.01)
    out = tmp_path_factory.mktemp("gin")
    pretrained = Pretrained(dataset, training, Shape(hidden=CHANNELS), out)
    graphs = pretrained.test_graphs(0)
    return Sets(pretrained.features("mean", 0), graphs.batch, graphs.num_graphs + 1)


@pytest.fixture
def features(request: pytest.FixtureRequest) -> Sets:
    if request.param == "trained":
        return request.getfixturevalue("trained")
    sizes = torch.randint(1, 60, (40,))
    index = torch.arange(40).repeat_interleave(sizes)
    x = 2 * torch.randn(index.numel(), CHANNELS)
    return Sets(x, index, 41)


def gate() -> Module:
    return Sequential(Linear(CHANNELS, 16), Tanh(), Linear(16, 1))


def pooled_and_gradient(
    layer: Callable[..., Tensor], sets: Sets, direction: Tensor
) -> tuple[Tensor, Tensor]:
    x = sets.x.clone().requires_grad_()
    out = layer(x, sets.index, dim_size=sets.num_sets)
    (gradient,) = torch.autograd.grad(out, x, direction.to(x.dtype))
    return out.detach(), gradient


def distances(found, expected) -> list[float]:
    """Of each pair, relative to the second."""
    return [
        float((a.double() - b).norm() / b.norm())
        for a, b in zip(found, expected, strict=True)
    ]


def like(name: str, solver: str, **kwargs) -> UOTPAggregation:
    return UOTPAggregation.like(name, CHANNELS, **SOLVERS[solver], **kwargs)


@FEATURES
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize(
    ("name", "reference"), [("mean", MeanAggregation()), ("sum", SumAggregation())]
)
def test_mean_and_sum(name, reference, heads: int, solver: str, features) -> None:
    direction = torch.randn(features.num_sets, CHANNELS)
    found = pooled_and_gradient(like(name, solver, heads=heads), features, direction)
    expected = pooled_and_gradient(reference, features, direction)
    assert max(distances(found, expected)) < 1e-6
    assert not found[0][-1].any()


@FEATURES
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("heads", [1, 4])
def test_max(heads: int, solver: str, features) -> None:
    """Outputs bit for bit; gradients but where several nodes tie at a maximum of 0.

    There, PyTorch's reduction into zeros counts its own zero as one more of them, and
    so gives n tied nodes n / (n + 1) of the gradient between them.
    """
    layer, reference = like("max", solver, heads=heads), MaxAggregation()
    maxima = reference(features.x, features.index, dim_size=features.num_sets)
    direction = torch.randn_like(maxima).masked_fill(maxima == 0, 0)
    found = pooled_and_gradient(layer, features, direction)
    expected = pooled_and_gradient(reference, features, direction)
    assert found[0].equal(expected[0])
    assert max(distances(found, expected)) < 1e-6


@pytest.mark.parametrize("solver", SOLVERS)
def test_ties_share_the_gradient_of_a_maximum_evenly(solver: str) -> None:
    x = torch.tensor([[0.0], [0.0], [-1.0], [0.0], [0.3], [0.3], [0.3]])
    sets = Sets(x.expand(7, CHANNELS), torch.tensor([0, 0, 0, 0, 1, 1, 1]), 2)
    out, gradient = pooled_and_gradient(
        like("max", solver), sets, torch.ones(2, CHANNELS)
    )
    assert out[:, 0].equal(torch.tensor([0.0, 0.3]))
    third = 1 / 3
    expected = torch.tensor([third, third, 0, third, third, third, third])
    torch.testing.assert_close(gradient[:, 0], expected)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_maximum_of_values_one_rounding_apart(solver: str) -> None:
    x = torch.randn(1, CHANNELS).expand(8, CHANNELS)
    above = x.nextafter(torch.tensor(torch.inf))
    x = torch.where(torch.rand_like(x) < 0.5, x, above)
    sets = Sets(x, torch.zeros(8, dtype=torch.long), 1)
    direction = torch.ones(1, CHANNELS)
    found = pooled_and_gradient(like("max", solver), sets, direction)
    expected = pooled_and_gradient(MaxAggregation(), sets, direction)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)
    assert found[0].equal(expected[0])


@FEATURES
@pytest.mark.parametrize("solver", ["sinkhorn", "badmm-entropy"])
def test_attention(solver: str, features) -> None:
    module = gate()
    direction = torch.randn(features.num_sets, CHANNELS)
    layer = like("attention", solver, node_prior=module)
    found = pooled_and_gradient(layer, features, direction)
    expected = pooled_and_gradient(AttentionalAggregation(module), features, direction)
    assert max(distances(found, expected)) < 1e-6


@FEATURES
@pytest.mark.parametrize("t", [0.1, 1.0])
def test_softmax(t: float, features) -> None:
    direction = torch.randn(features.num_sets, CHANNELS)
    layer = like("softmax", "sinkhorn", alpha0=1 / t)
    found = pooled_and_gradient(layer, features, direction)
    expected = pooled_and_gradient(SoftmaxAggregation(t), features, direction)
    assert max(distances(found, expected)) < 1e-6


@FEATURES
@pytest.mark.parametrize("t", [5.0, 20.0])
def test_sharp_softmax_is_as_close_to_double_precision_as_pyg(t, features) -> None:
    """At large t a gradient cancels in float32, here as in PyG."""
    direction = torch.randn(features.num_sets, CHANNELS)
    reference = SoftmaxAggregation(t)
    double = features._replace(x=features.x.double())
    truth = pooled_and_gradient(reference, double, direction)
    layer = like("softmax", "sinkhorn", alpha0=1 / t)
    ours = distances(pooled_and_gradient(layer, features, direction), truth)
    theirs = distances(pooled_and_gradient(reference, features, direction), truth)
    assert ours[0] < 1e-6
    assert ours[1] < 1.5 * theirs[1]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("normalize", [True, False])
def test_size_power_multiplies_any_layer(solver: str, normalize: bool) -> None:
    sets = Sets(torch.randn(9, CHANNELS), torch.tensor([0, 0, 2, 2, 2, 2, 3, 5, 0]), 7)
    kwargs = {"node_prior": "attention", "normalize": normalize, "heads": 2}
    plain = UOTPAggregation(CHANNELS, **SOLVERS[solver], **kwargs)
    power = torch.tensor([0.5, 1.0])
    scaled = UOTPAggregation(CHANNELS, **SOLVERS[solver], **kwargs, size_power=power)
    scaled.load_state_dict(copy.deepcopy(plain.state_dict()), strict=False)
    sizes = torch.tensor([3, 1, 4, 1, 1, 1, 1.0])[:, None]
    factors = sizes ** power.repeat_interleave(CHANNELS // 2)
    expected = plain(sets.x, sets.index, dim_size=7) * factors
    found = scaled(sets.x, sets.index, dim_size=7)
    torch.testing.assert_close(found, expected)
    assert scaled.solve(sets.x, sets.index, dim_size=7).pooled.equal(found)
    assert scaled.coefficients()["size_power"].tolist() == [[0.5, 1.0]]
