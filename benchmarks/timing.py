r"""Times several functions against each other, in turns."""

import time
from collections.abc import Callable, Mapping
from statistics import median


def interleaved(
    contenders: Mapping[str, Callable[[], object]], repeats: int, warmup: int = 5
) -> dict[str, float]:
    r"""The median seconds of each contender.

    They take turns, so that what slows the machine for a while slows all of them; each
    repetition starts with another one.

    Args:
        contenders (Mapping): Functions without arguments, by name.
        repeats (int): Timed calls of each.
        warmup (int): Calls before those. (default: :obj:`5`)
    """
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repetition in range(-warmup, repeats):
        shift = repetition % len(names)
        for name in names[shift:] + names[:shift]:
            started = time.perf_counter()
            contenders[name]()
            elapsed = time.perf_counter() - started
            if repetition >= 0:
                seconds[name].append(elapsed)
    return {name: median(values) for name, values in seconds.items()}
