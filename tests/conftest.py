import os
from pathlib import Path

import pytest
import torch

from torch_geometric_uotp import backend

ROOT = Path(__file__).resolve().parents[1]


def pytest_report_header() -> str:
    return f"kernels: {backend()}"


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data: the folder UOTP_DATA, else shared/data beside the repository."""
    folder = Path(os.environ.get("UOTP_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data in {folder}: set UOTP_DATA to the folder that has them")
    return folder
