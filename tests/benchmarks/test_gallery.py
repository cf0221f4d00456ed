from pathlib import Path

from matplotlib.image import imread

from benchmarks import gallery


def test_draws_every_figure(tmp_path: Path) -> None:
    gallery.main(["--epochs", "1", "--out", str(tmp_path)])
    names = {path.stem for path in tmp_path.glob("*.png")}
    assert names == {"plan", "shares_graph", "shares_image", "square"}
    for path in tmp_path.glob("*.png"):
        assert imread(path)[..., :3].std() > 0.05
        assert path.stat().st_size < 100_000
