"""Half formats as the kernels read and write them, against torch's conversions."""

import pytest
import torch

from benchmarks.elementary import Elementary

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def every(dtype: torch.dtype) -> torch.Tensor:
    return torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)


def bits(x: torch.Tensor) -> torch.Tensor:
    """Of every number, and 0 for what is none: its bits may differ."""
    integer = torch.int32 if x.dtype == torch.float32 else torch.int16
    return torch.where(x.isnan(), 0, x.view(integer).int())


@pytest.mark.parametrize("name", DTYPES)
def test_reads_every_number(elementary: Elementary, isa: str, name: str) -> None:
    x = every(DTYPES[name])
    read = elementary.function(isa, f"load_{name}")(x, torch.empty(len(x)))
    assert torch.equal(bits(read), bits(x.float()))
    assert torch.equal(read.isnan(), x.isnan())


@pytest.mark.parametrize("name", DTYPES)
def test_writes_the_nearest_number(elementary: Elementary, isa: str, name: str) -> None:
    dtype = DTYPES[name]
    finite = every(dtype).float()
    finite = finite[finite.isfinite()].sort().values
    halfway = ((finite[1:].double() + finite[:-1].double()) / 2).float()
    around = [halfway.nextafter(torch.tensor(way)) for way in (-torch.inf, torch.inf)]
    anywhere = torch.randint(-(2**31), 2**31, (300_001,)).int().view(torch.float32)
    x = torch.cat([every(dtype).float(), halfway, *around, anywhere])
    written = elementary.function(isa, f"store_{name}")(
        x, torch.empty_like(x, dtype=dtype)
    )
    # What is beyond the largest number is stored as the largest.
    limit = torch.finfo(dtype).max
    expected = x.clamp(-limit, limit).to(dtype)
    assert torch.equal(bits(written), bits(expected))
    assert torch.equal(written.isnan(), x.isnan())
