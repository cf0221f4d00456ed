from collections.abc import Iterator

import matplotlib
import pytest


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    """Draw without a display, and leave no figure open."""
    from matplotlib import pyplot

    with matplotlib.rc_context({"backend": "agg"}):
        yield
        pyplot.close("all")
