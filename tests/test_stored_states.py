from unittest.mock import patch

import pytest
import torch

from tests.stored_states import FOLDER, KINDS, pooled
from torch_geometric_uotp import ops

STORED = sorted(path.stem for path in FOLDER.glob("*.pt"))


def test_every_kind_is_stored() -> None:
    assert sorted(KINDS) == STORED


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", STORED)
def test_a_stored_state_gives_what_it_gave(name: str, native: bool) -> None:
    entry = torch.load(FOLDER / f"{name}.pt", weights_only=True)
    layer = KINDS[name]()
    with patch.object(ops, "AVAILABLE", native and ops.AVAILABLE), torch.no_grad():
        fresh = pooled(layer, entry["x"])
        layer.load_state_dict(entry["state"])
        found = pooled(layer, entry["x"])
    torch.testing.assert_close(found, entry["pooled"], rtol=1e-5, atol=1e-5)
    learns = any(True for _ in layer.parameters())
    assert learns != fresh.allclose(entry["pooled"], rtol=1e-5, atol=1e-5)
