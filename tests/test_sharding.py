"""Sharded training in half precision, as docs/distributed.md says it."""

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import Linear, Module

from torch_geometric_uotp import UOTPAggregation

if not (dist.is_available() and dist.is_gloo_available()):
    pytest.skip("torch was built without gloo", allow_module_level=True)

from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    FullyShardedDataParallel,
    MixedPrecision,
    MixedPrecisionPolicy,
    fully_shard,
)

HALF = torch.bfloat16
BATCH = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])
X = torch.randn(9, 5, generator=torch.Generator().manual_seed(1))
ONE_PROCESS = "ignore:FSDP is switching to use `NO_SHARD`:UserWarning"


class Classifier(Module):
    def __init__(self, **kwargs: float) -> None:
        super().__init__()
        self.gnn = Linear(5, 8)
        self.readout = UOTPAggregation(8, **kwargs)
        self.head = Linear(8, 3)

    def forward(self, x: Tensor, batch: Tensor) -> Tensor:
        return self.head(self.readout(self.gnn(x).relu(), batch))


@pytest.fixture(autouse=True)
def _one_process() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def by_fully_shard(model: Module, readout_apart: bool = True) -> Module:
    mesh = init_device_mesh("cpu", (1,))
    half = MixedPrecisionPolicy(param_dtype=HALF, reduce_dtype=torch.float32)
    if readout_apart:
        fully_shard(model.readout, mesh=mesh)
    return fully_shard(model, mesh=mesh, mp_policy=half)


def by_wrapper(model: Module, readout_apart: bool = True) -> Module:
    options = {"device_id": torch.device("cpu"), "use_orig_params": True}
    half = MixedPrecision(param_dtype=HALF, reduce_dtype=torch.float32)
    if readout_apart:
        model.readout = FullyShardedDataParallel(model.readout, **options)
    return FullyShardedDataParallel(model, mixed_precision=half, **options)


SHARD = pytest.mark.parametrize("shard", [by_fully_shard, by_wrapper])


@pytest.mark.filterwarnings(ONE_PROCESS)
@SHARD
@pytest.mark.parametrize("options", [{"alpha0": 0.3}, {"alpha0": 0.3, "learn": False}])
def test_half_precision_with_coefficients_in_float32(
    shard: Callable[[Module], Module], options: dict
) -> None:
    model = Classifier(**options)
    expected = copy.deepcopy(model).to(HALF)(X.to(HALF), BATCH)
    sharded = shard(model)
    found = sharded(X, BATCH)
    assert found.dtype == HALF
    assert found.equal(expected)


@pytest.mark.filterwarnings(ONE_PROCESS)
@SHARD
def test_training_moves_every_parameter(shard: Callable[[Module], Module]) -> None:
    sharded = shard(Classifier())
    before = [p.detach().clone() for p in sharded.parameters()]
    optimizer = torch.optim.Adam(sharded.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        sharded(X, BATCH).float().square().sum().backward()
        optimizer.step()
    after = list(sharded.parameters())
    assert {parameter.dtype for parameter in after} == {torch.float32}
    assert not any(b.equal(a) for b, a in zip(before, after, strict=True))


def test_a_readout_of_its_own_returns_no_view() -> None:
    """FSDP2 would warn of one."""
    readout = fully_shard(UOTPAggregation(8), mesh=init_device_mesh("cpu", (1,)))
    pooled = readout(torch.randn(9, 8), BATCH)
    pooled += 1
    pooled.sum().backward()
    assert all(parameter.grad is not None for parameter in readout.parameters())


@pytest.mark.filterwarnings(ONE_PROCESS)
@SHARD
def test_a_model_in_half_precision_is_refused(shard: Callable[..., Module]) -> None:
    with pytest.raises((AssertionError, ValueError), match="uniform"):
        shard(Classifier().to(HALF), readout_apart=False)(X.to(HALF), BATCH)
