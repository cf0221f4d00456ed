from pathlib import Path

import pytest
import torch

from benchmarks import stored


def test_what_is_saved_is_loaded(tmp_path):
    stored.save(tmp_path / "new" / "x.pt", {"x": torch.arange(3), "n": 2})
    found = stored.load(tmp_path / "new" / "x.pt")
    assert found["x"].tolist() == [0, 1, 2]
    assert found["n"] == 2


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("touched"),)


def test_code_in_a_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Evil()}, "evil.pt")
    with pytest.raises(ValueError, match=r"'evil.pt' is damaged"):
        stored.load(Path("evil.pt"))
    assert not Path("touched").exists()


def test_a_missing_file_is_no_damage(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        stored.load(tmp_path / "none.pt")
