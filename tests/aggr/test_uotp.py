import copy
import itertools
import math
from unittest.mock import patch

import pytest
import torch
from torch.nn import Dropout, Linear, Module, ReLU, Sequential
from torch.utils.checkpoint import checkpoint
from torch_geometric.nn.aggr import MaxAggregation

from torch_geometric_uotp import UOTPAggregation, ops
from torch_geometric_uotp.aggr import UOTPAggregation as Aggr
from torch_geometric_uotp.scores import NormalisedScores

INF = math.inf
INDEX = torch.tensor([2, 0, 0, 2, 4, 0, 2, 2, 1, 2])
SOLVERS = [
    {"solver": "sinkhorn"},
    {"solver": "badmm"},
    {"solver": "badmm", "regularizer": "quadratic"},
]
ALL_SOLVERS = pytest.mark.parametrize(
    "solver", SOLVERS, ids=["sinkhorn", "badmm-entropy", "badmm-quadratic"]
)


def nodes(channels: int = 6, **kwargs) -> torch.Tensor:
    return torch.randn(INDEX.numel(), channels, **kwargs)


@pytest.mark.parametrize("name", ["mean", "max", "sum", "attention", "softmax"])
def test_leaves_the_pooling_it_starts_as(name: str) -> None:
    """Each coefficient that matters moves when the target asks for it."""
    layer = UOTPAggregation.like(name, channels=6)
    goal = UOTPAggregation(6, alpha0=0.5, alpha1=1.0, alpha2=1.0, learn=False)
    before = layer.coefficients()
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
    losses = []
    for _ in range(150):
        x = nodes()
        loss = (layer(x, INDEX) - goal(x, INDEX)).square().mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = layer.coefficients()
    assert abs(1 / (1 + after["alpha0"]) - 1 / (1 + before["alpha0"])) > 0.01
    assert abs(after["r_q"] - before["r_q"]) > 0.01
    assert sum(losses[-30:]) < 0.8 * sum(losses[:30])


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("given", [*SOLVERS, {"tol": 1e-6}, {"alpha2": 0.0}], ids=str)
def test_a_prior_that_is_no_number_is_told(given: dict, native: bool) -> None:
    class Diverged(Module):
        def forward(self, x):
            return x[..., :1].clone().index_fill(0, torch.tensor([1]), math.nan)

    layer = UOTPAggregation(6, node_prior=Diverged(), **given)
    with patch.object(ops, "AVAILABLE", native and ops.AVAILABLE):
        out = layer(nodes(), INDEX)
    assert out.isnan().all(1).tolist() == [True, False, False, False, False]


class Masking(Module):
    """Logits of -inf where the first channel is positive."""

    def forward(self, x):
        return x[..., 1:2].masked_fill(x[..., :1] > 0, -INF)


@pytest.mark.parametrize(
    "given",
    [
        {**solver, "alpha0": alpha0, "alpha2": alpha2}
        for solver in (*SOLVERS, {"tol": 1e-10})
        for alpha0 in (0.0, 2e-3, 1.0)
        for alpha2 in (0.0, 1.0, INF)
    ]
    + [{"size_power": 1.0, "heads": 2}],
    ids=str,
)
def test_nodes_that_a_prior_leaves_out_might_not_be_there(given: dict) -> None:
    left_out = torch.zeros(10, dtype=torch.bool)
    left_out[[0, 1, 7]] = True
    x = nodes(dtype=torch.double)
    x[:, 0] = x[:, 0].abs() * (2 * left_out - 1)
    layer = UOTPAggregation(6, node_prior=Masking(), **given).double()
    might_not_be_there(layer, x, left_out)


def might_not_be_there(layer: Module, x: torch.Tensor, left_out: torch.Tensor) -> None:
    """Everything a layer says is the same without the nodes that it leaves out."""

    def found(kept):
        rows = x[kept].requires_grad_()
        solution = layer.solve(rows, INDEX[kept])
        outputs = solution.pooled, solution.residual
        loss = solution.pooled.square().sum()
        of_x, *others = torch.autograd.grad(loss, [rows, *layer.parameters()])
        return [*outputs, *others], [of_x, solution.plan]

    sets, of_nodes = found(torch.ones(10, dtype=torch.bool))
    sets_without, of_nodes_without = found(~left_out)
    assert all(rows[left_out].abs().max() < 1e-100 for rows in of_nodes)
    kept = [rows[~left_out] for rows in of_nodes]
    for one, other in zip(
        [*sets, *kept], [*sets_without, *of_nodes_without], strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


@ALL_SOLVERS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_finite_over_the_whole_range(solver: dict, dtype: torch.dtype) -> None:
    largest = min(1e6, torch.finfo(dtype).max / 8)
    alpha0s, alphas = (0.0, 1e-6, 1e-3, 1.0, 1e3, 1e6, INF), (0.0, 1e-3, 1.0, 1e3, INF)
    for alpha0, alpha1, alpha2 in itertools.product(alpha0s, alphas, alphas):
        layer = UOTPAggregation(
            6,
            alpha0=alpha0,
            alpha1=alpha1,
            alpha2=alpha2,
            learn=False,
            node_prior="attention",
            **solver,
        )
        for scale in (1e-6, 1.0, largest):
            x = (scale * nodes()).to(dtype).requires_grad_()
            out = layer(x, INDEX, dim_size=6)
            gradients = torch.autograd.grad(out.sum(), [x, *layer.parameters()])
            assert out.dtype == dtype
            assert out.isfinite().all(), (alpha0, alpha1, alpha2, scale)
            assert all(g.isfinite().all() for g in gradients), (
                alpha0,
                alpha1,
                alpha2,
                scale,
            )


@ALL_SOLVERS
@pytest.mark.parametrize("learn", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [-INF, INF, 1e38, -3e38])
def test_a_maximum_passes_over_any_value(
    solver: dict, learn: bool, dtype: torch.dtype, value: float
) -> None:
    """One entry, or, as where nodes are masked, a whole node."""
    layer = UOTPAggregation.like("max", 6, learn=learn, **solver).to(dtype)
    for part in (slice(0, 1), slice(None)):
        x = nodes(dtype=dtype)
        x[1, part] = value
        x.requires_grad_()
        out = layer(x, INDEX)
        assert out.equal(MaxAggregation()(x, INDEX, dim_size=5))
        loss = out.masked_fill(out.abs() > 1e4, 0).sum()
        for gradient in torch.autograd.grad(loss, [x, *layer.parameters()]):
            assert gradient.isfinite().all()


@ALL_SOLVERS
@pytest.mark.parametrize("alpha0", [0.0, 1e-3, 1.0, 1e6, INF])
def test_coefficients_get_finite_gradients(solver: dict, alpha0: float) -> None:
    for alpha, scale in itertools.product((0.0, 1.0, INF), (1e-6, 1.0, 1e6)):
        layer = UOTPAggregation(6, alpha0=alpha0, alpha1=alpha, alpha2=alpha, **solver)
        layer(scale * nodes(), INDEX).square().mean().sqrt().backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad.isfinite().all(), (name, alpha, scale)


@pytest.mark.parametrize("share_steps", [True, False])
@pytest.mark.parametrize("heads", [1, 3, 6])
@pytest.mark.parametrize("num_steps", [1, 2, 4])
@pytest.mark.parametrize("normalize", [True, False])
@ALL_SOLVERS
def test_no_parameter_has_a_gradient_that_is_always_zero(
    solver: dict, normalize: bool, num_steps: int, heads: int, share_steps: bool
) -> None:
    layer = UOTPAggregation(
        6,
        num_steps=num_steps,
        heads=heads,
        alpha2=1.0,
        share_steps=share_steps,
        normalize=normalize,
        **solver,
    )
    weights = torch.randn(6, 6, dtype=torch.double)
    (layer(nodes(dtype=torch.double), INDEX, dim_size=6) * weights).sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad.abs().min() > 1e-9, name


@pytest.mark.parametrize("heads", [2, 6])
@ALL_SOLVERS
def test_what_learns_starts_as_what_is_fixed_at_every_step(solver, heads) -> None:
    tables = {f"alpha{i}": 0.1 + torch.rand(3, heads) for i in range(3)}
    settings = {"num_steps": 3, "heads": heads, "share_steps": False, **solver}
    learned, fixed = (
        UOTPAggregation(6, learn=learn, **tables, **settings) for learn in (True, False)
    )
    x = nodes(dtype=torch.double)
    torch.testing.assert_close(learned(x, INDEX), fixed(x, INDEX), rtol=1e-5, atol=1e-6)


@ALL_SOLVERS
def test_solve_returns_what_the_pooling_did(solver: dict) -> None:
    layer = UOTPAggregation(6, heads=2, node_prior="attention", **solver)
    x = nodes()
    solution = layer.solve(x, INDEX, dim_size=6)
    assert solution.pooled.equal(layer(x, INDEX, dim_size=6))
    shapes = {
        "plan": (10, 6),
        "node_marginal": (10, 2),
        "channel_marginal": (6, 6),
        "residual": (6, 2),
    }
    for name, shape in shapes.items():
        assert getattr(solution, name).shape == shape
    mass = torch.zeros(6, 2).index_add(0, INDEX, solution.node_marginal)
    counts = torch.tensor([3, 1, 5, 0, 1, 0])
    torch.testing.assert_close(mass, (counts > 0).float().unsqueeze(-1).expand(6, 2))
    ours = layer.solve(x[INDEX == 2])
    torch.testing.assert_close(ours.plan, solution.plan[INDEX == 2])


@ALL_SOLVERS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_follows_may_change_the_output_in_place(solver: dict, dtype) -> None:
    x = nodes(dtype=dtype)
    for arguments in (solver, {"tol": 1e-6}):
        layer = UOTPAggregation(6, **arguments).to(dtype)
        gradients = []
        for inplace in (True, False):
            layer.zero_grad()
            ReLU(inplace=inplace)(layer(x, INDEX)).sum().backward()
            gradients.append([p.grad for p in layer.parameters()])
        torch.testing.assert_close(*gradients, rtol=0, atol=0)


@ALL_SOLVERS
def test_can_be_computed_again_in_the_backward_pass(solver: dict) -> None:
    model = Sequential(Linear(6, 6), ReLU(), Dropout(0.5))
    layer = UOTPAggregation(6, heads=2, **solver)
    x, gradients = nodes(), []
    parameters = [*model.parameters(), *layer.parameters()]
    for run in (lambda f, x: f(x), lambda f, x: checkpoint(f, x, use_reentrant=False)):
        torch.manual_seed(0)
        loss = run(lambda x: layer(model(x), INDEX), x).square().sum()
        gradients.append(torch.autograd.grad(loss, parameters))
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", ["plan", "node_marginal", "residual"])
@ALL_SOLVERS
def test_nothing_is_told_of_a_problem_that_is_gone(solver, name, native) -> None:
    layer, x, index = UOTPAggregation(6, **solver), nodes(), INDEX.clone()
    with patch.object(ops, "AVAILABLE", native and ops.AVAILABLE):
        for changed in (x, index):
            solution = layer.solve(x, index)
            changed[0] = 0
            with pytest.raises(RuntimeError, match="changed in place after solve"):
                getattr(solution, name)
        solution = layer.solve(x, index)
        expected = getattr(layer.solve(x, index), name)
        optimizer = torch.optim.Adam(layer.parameters(), fused=True)
        solution.pooled.sum().backward()
        optimizer.step()
        assert getattr(solution, name).equal(expected)


def test_a_plan_that_was_read_is_kept() -> None:
    layer, x = UOTPAggregation(6), nodes()
    solution = layer.solve(x, INDEX)
    plan = solution.plan
    x.zero_()
    assert solution.plan is plan
    with torch.inference_mode():
        assert layer.solve(nodes(), INDEX).plan.shape == (10, 6)


def test_scores_learn_where_a_maximum_is_taken() -> None:
    """A gradient of 0 is one: a parameter without any stops DDP."""
    scores = NormalisedScores(6, mapped=True)
    layer = UOTPAggregation(6, alpha0=0.0, learn=False, scores=scores)
    layer(nodes(), INDEX).sum().backward()
    assert all(parameter.grad is not None for parameter in scores.parameters())


@pytest.mark.parametrize("learn", [True, False])
@ALL_SOLVERS
def test_one_channel_reports_the_coefficients_it_was_given(solver, learn) -> None:
    alpha0 = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    layer = UOTPAggregation(
        1, share_steps=False, alpha0=alpha0, alpha1=1.0, learn=learn, **solver
    )
    assert layer.coefficients()["alpha1"].flatten()[0].item() == pytest.approx(1)


def test_unnormalised_output_is_the_transported_mass() -> None:
    layer = UOTPAggregation(6, heads=2, normalize=False)
    x = nodes()
    out = layer(x, INDEX, dim_size=6)
    plan = layer.solve(x, INDEX, dim_size=6).plan
    expected = torch.zeros(6, 6).index_add(0, INDEX, 3 * plan * x)
    torch.testing.assert_close(out, expected)
    assert layer.solve(x, INDEX, dim_size=6).pooled.equal(out)


def test_priors_of_the_call_and_of_the_layer() -> None:
    prior = torch.rand(10) + 0.1
    channels = torch.rand(6) + 0.1
    layer = UOTPAggregation(
        6, alpha0=INF, alpha1=INF, alpha2=INF, learn=False, channel_prior=channels
    )
    x = nodes()
    solution = layer.solve(x, INDEX, dim_size=6, node_prior=prior)
    mass = torch.zeros(6).index_add(0, INDEX, prior)
    torch.testing.assert_close(solution.node_marginal[:, 0], prior / mass[INDEX])
    expected = (channels / channels.sum()).expand(3, 6)
    torch.testing.assert_close(solution.channel_marginal[[0, 1, 2]], expected)
    averaged = torch.zeros(6, 6).index_add(0, INDEX, x * (prior / mass[INDEX])[:, None])
    torch.testing.assert_close(layer(x, INDEX, dim_size=6, node_prior=prior), averaged)


def test_a_node_prior_of_each_head() -> None:
    layer = UOTPAggregation(6, heads=2, alpha0=INF, alpha2=INF, learn=False)
    prior = torch.rand(10, 2) + 0.1
    x = nodes()
    both = layer(x, INDEX, node_prior=prior)
    for head, part in enumerate((slice(0, 3), slice(3, 6))):
        single = UOTPAggregation(3, alpha0=INF, alpha2=INF, learn=False)
        alone = single(x[:, part], INDEX, node_prior=prior[:, head])
        torch.testing.assert_close(both[:, part], alone)


@ALL_SOLVERS
def test_scores_decide_and_features_are_averaged(solver: dict) -> None:
    scores = Linear(6, 6)
    layer = UOTPAggregation(6, alpha0=0.5, heads=2, scores=scores, **solver)
    plain = UOTPAggregation(6, alpha0=0.5, heads=2, **solver)
    x = nodes()
    plan = plain.solve(scores(x), INDEX).plan
    torch.testing.assert_close(layer.solve(x, INDEX).plan, plan)
    first = INDEX == 0
    shares = plan[first] / plan[first].sum(0)
    torch.testing.assert_close(layer(x, INDEX)[0], (shares * x[first]).sum(0))


def test_scores_of_nodes_in_half_precision_and_along_any_axis() -> None:
    layer = UOTPAggregation(6, scores=NormalisedScores(6, mapped=True))
    x = nodes().half()
    out = layer(x, INDEX)
    assert out.dtype == torch.half
    torch.testing.assert_close(out, layer(x.float(), INDEX).half())
    both = torch.stack([x, -x], 1)
    torch.testing.assert_close(layer(both, INDEX, dim=0)[:, 0], out)


def test_heads_are_transports_of_their_own() -> None:
    alphas = {"alpha0": torch.tensor([0.3, 2.0]), "alpha2": torch.tensor([0.1, 5.0])}
    layer = UOTPAggregation(6, heads=2, **alphas)
    x = nodes()
    for head, part in enumerate((slice(0, 3), slice(3, 6))):
        single = UOTPAggregation(
            3, **{name: value[head] for name, value in alphas.items()}
        )
        torch.testing.assert_close(layer(x, INDEX)[:, part], single(x[:, part], INDEX))


def empty_axis(layer: Module, native: bool) -> None:
    """A leading axis without entries: nothing comes out, and gradients are there."""
    with patch.object(ops, "AVAILABLE", native and ops.AVAILABLE):
        for shape, dim in (((0, 10, 6), 1), ((2, 0, 10, 6), -2), ((10, 0, 6), 0)):
            x = torch.zeros(shape, requires_grad=True)
            out = layer(x, INDEX, dim=dim, dim_size=7)
            assert out.shape == torch.Size(7 if n == 10 else n for n in shape)
            found = torch.autograd.grad(out.sum(), [x, *layer.parameters()])
            assert all(gradient.eq(0).all() for gradient in found)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    "arguments",
    [
        *SOLVERS,
        {"tol": 1e-6},
        {"normalize": False, "size_power": 0.5, "heads": 2},
        {"node_prior": "attention", "scores": Linear(6, 6)},
        {"alpha0": 0.0},
    ],
    ids=str,
)
def test_a_leading_axis_may_be_empty(arguments: dict, native: bool) -> None:
    empty_axis(UOTPAggregation(6, **arguments), native)


def test_repr_shows_what_was_learned() -> None:
    layer = UOTPAggregation(6, solver="badmm", heads=2, alpha0=torch.tensor([1.0, 2.0]))
    assert repr(layer) == (
        "UOTPAggregation(6, solver=badmm, num_steps=4, heads=2, node_prior=uniform, "
        "alpha0=[1, 2], alpha1=1, alpha2=9, t=[1, 0.5], r_p=[0.5, 0.333], "
        "r_q=[0.9, 0.818], rho=3)"
    )


def test_reset_parameters() -> None:
    layer = UOTPAggregation(6, node_prior="attention")
    drawn = layer.node_prior.score.weight.detach().clone()
    with torch.no_grad():
        layer.coefficient.t.add_(0.02)
    layer.reset_parameters()
    assert layer.coefficients()["t"].item() == pytest.approx(1)
    assert not layer.node_prior.score.weight.equal(drawn)


@pytest.mark.parametrize("name", ["node_prior", "scores"])
def test_reset_reaches_into_containers(name: str) -> None:
    module = Sequential(Linear(6, 6), ReLU(), Sequential(Linear(6, 6)))
    layer = UOTPAggregation(6, heads=6, **{name: module})
    drawn = [parameter.detach().clone() for parameter in module.parameters()]
    layer.reset_parameters()
    assert not any(map(torch.equal, drawn, module.parameters()))


GIVEN = {
    "alpha0": torch.tensor([[0.5, 2.0]], dtype=torch.double),
    "rho": torch.tensor([1.0, 2.0], dtype=torch.double),
    "channel_prior": torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    "size_power": torch.tensor([0.25, 1.0]),
}


@pytest.mark.parametrize("learn", [True, False])
def test_tensors_given_are_copied(learn: bool) -> None:
    """The layer neither sees them change, nor keeps their graph."""
    given = {name: value.clone().requires_grad_() for name, value in GIVEN.items()}
    layer = UOTPAggregation(6, "badmm", heads=2, learn=learn, **given)
    x = nodes()
    expected = layer(x, INDEX)
    with torch.no_grad():
        for value in given.values():
            value.fill_(0.7)
    layer.reset_parameters()
    assert copy.deepcopy(layer)(x, INDEX).equal(expected)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_a_channel_prior_is_never_in_half_precision(half: torch.dtype) -> None:
    prior = torch.tensor([1e-4, 1e-3, 1e-2, 0.1, 0.3, 0.5889])
    layer = UOTPAggregation(6, channel_prior=prior, alpha1=100.0, normalize=False)
    kept = layer.channel_prior.log_p0.clone()
    assert kept.equal(prior.double().log().view(1, 6))
    layer.to(half)
    assert layer.channel_prior.log_p0.equal(kept)
    assert layer.double().channel_prior.log_p0.equal(kept.double())


@ALL_SOLVERS
@pytest.mark.parametrize("alpha0", [1e-6, 0.3])
def test_what_is_fixed_is_exact_in_the_type_it_is_used_in(solver, alpha0) -> None:
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    given = {"channel_prior": prior, "size_power": 1 / 3, "alpha1": 0.1, "alpha2": 0.7}
    layer = Aggr(6, alpha0=alpha0, learn=False, **given, **solver)
    torch.set_default_dtype(torch.float64)
    try:
        exact = Aggr(6, alpha0=alpha0, learn=False, **given, **solver)
    finally:
        torch.set_default_dtype(torch.float32)
    x = nodes(dtype=torch.double) * alpha0
    for moved in (layer, layer.half(), layer.double(), copy.deepcopy(layer).float()):
        torch.testing.assert_close(moved(x, INDEX), exact(x, INDEX), rtol=1e-14, atol=0)


@pytest.mark.parametrize("learn", [True, False])
@pytest.mark.parametrize("alpha0", [0.0, GIVEN["alpha0"]])
def test_can_be_made_without_memory(learn: bool, alpha0) -> None:
    given = {**GIVEN, "alpha0": alpha0, "learn": learn, "solver": "badmm", "heads": 2}
    with torch.device("meta"):
        layer = UOTPAggregation(6, **given)
    assert all(table.is_meta for table in layer.coefficient.buffers())
    assert all(table.is_meta for table in layer.coefficient.parameters())
    assert "alpha0=meta" in repr(layer)
    layer = layer.to_empty(device="cpu")
    layer.reset_parameters()
    x = nodes()
    assert layer(x, INDEX).equal(UOTPAggregation(6, **given)(x, INDEX))


def test_presets_can_be_made_without_memory() -> None:
    with torch.device("meta"):
        layer = UOTPAggregation.spread(8)
    assert all(parameter.is_meta for parameter in layer.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "'channels' must be at least 1 .*got 0"),
        ({"channels": 6.0}, "'channels' must be an integer .*got 6.0"),
        ({"heads": 2.0}, "'heads' must be an integer .*got 2.0"),
        ({"num_steps": 2.5}, "'num_steps' must be an integer .*got 2.5"),
        ({"tol": 1e-6, "max_steps": 9.5}, "'max_steps' .*integer .*got 9.5"),
        ({"scores": "layernorm"}, "'scores' must be a module .*got 'layernorm'"),
        ({"alpha2": torch.ones(4, 1)}, r"\(4, 1\)\); .*needs share_steps=False"),
        ({"heads": 4}, "multiple of 'heads' .*6 channels and 4 heads"),
        ({"solver": "simplex"}, "'solver' .*'simplex'"),
        ({"solver": "badmm", "regularizer": "l1"}, "'regularizer' .*'l1'"),
        ({"regularizer": "quadratic"}, "Sinkhorn .*'quadratic'"),
        ({"num_steps": 0}, "'num_steps' .*got 0"),
        ({"rho": 1.0}, "'rho' needs solver='badmm' .*'sinkhorn'"),
        ({"alpha0": -1.0}, "'alpha0' .*-1.0"),
        ({"alpha2": math.nan, "learn": False}, "'alpha2' .*nan"),
        (
            {"alpha1": torch.ones(3)},
            r"'alpha1' must have 1 steps and 1 heads.*\(1, 3\)",
        ),
        ({"node_prior": "entropy"}, "'node_prior' .*'entropy'"),
        ({"channel_prior": torch.ones(5)}, r"'channel_prior' .*\(6,\) .*\(5,\)"),
        ({"channel_prior": torch.zeros(6)}, "'channel_prior' must be positive.*0.0"),
        ({"channel_prior": [1.0] * 6}, r"a tensor of shape \(6,\) .got list"),
        ({"alpha0": 0.0, "share_steps": False}, "shared by all steps"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Aggr(**{"channels": 6, **arguments})


def test_unknown_poolings_are_named() -> None:
    with pytest.raises(ValueError, match=r"'attention', 'max', 'mean', .*got 'sort'"):
        Aggr.like("sort", channels=6)


@pytest.mark.parametrize(
    ("name", "solver"), [("softmax", 1), ("softmax", 2), ("attention", 2)]
)
def test_poolings_a_solver_does_not_reach_are_named(name: str, solver: int) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is not reached by solver='badmm'"):
        Aggr.like(name, channels=6, **SOLVERS[solver])


@pytest.mark.parametrize(
    ("x", "arguments", "message"),
    [
        (torch.ones(10, 5), {}, "6 channels .*got 5"),
        (torch.ones(10, 6).long(), {}, "floating-point .*int64"),
        (torch.ones(10, 6), {"dim": 1}, "axis of the channels"),
        (torch.ones(9, 6), {}, "each of 9 nodes .got 10"),
        (torch.ones(10, 6), {"dim_size": 3}, r"\[0, 3\)"),
        (torch.ones(10, 6), {"node_prior": -torch.ones(10)}, "'node_prior' .*positive"),
        (torch.ones(10, 6), {"node_prior": torch.ones(9)}, r"10 nodes .*\(9, 1\)"),
        (torch.ones(10, 6), {"node_prior": torch.ones(10, 2)}, r"1 or 1 .*\(10, 2\)"),
        (torch.ones(10, 6), {"node_prior": torch.tensor(1.0)}, "10 nodes .*got shape"),
        (torch.ones(10, 6), {"node_prior": torch.ones(10, 2, 1)}, r"\(10, 2, 1\)"),
    ],
)
def test_bad_input_is_named(x, arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Aggr(6)(x, INDEX, **arguments)


def test_a_prior_module_of_the_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"1 or 1 values each .*\(10, 2\)"):
        Aggr(6, node_prior=Linear(6, 2))(nodes(), INDEX)


def test_scores_of_another_shape_are_named() -> None:
    layer = UOTPAggregation(6, scores=Linear(6, 5))
    with pytest.raises(ValueError, match=r"'scores' must map .* \(got \(10, 5\)\)"):
        layer(nodes(), INDEX)


def test_solve_wants_one_batch_axis() -> None:
    with pytest.raises(ValueError, match=r"\[N, F\] .*\(2, 10, 6\)"):
        Aggr(6).solve(torch.randn(2, 10, 6), INDEX)
