import pytest
from torch.nn import Dropout, Linear, Sequential

from torch_geometric_uotp.modes import modes_kept


@pytest.mark.parametrize("mode", [False, True])
def test_each_module_gets_its_own_mode_back(mode: bool) -> None:
    module = Sequential(Linear(2, 2), Sequential(Dropout().eval(), Linear(2, 2)))
    before = [inside.training for inside in module.modules()]
    with modes_kept(module):
        module.train(mode)
    assert [inside.training for inside in module.modules()] == before


def test_also_after_an_error() -> None:
    module = Linear(2, 2)
    with pytest.raises(TypeError), modes_kept(module):
        module.eval()(None)
    assert module.training
