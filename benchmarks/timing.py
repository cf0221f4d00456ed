r"""Times several functions against each other, in turns."""

import time
from collections.abc import Callable, Mapping
from statistics import median

CALLS = 6  # of a turn


def interleaved(
    contenders: Mapping[str, Callable[[], object]],
    repeats: int,
    warmup: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    r"""The median seconds of each contender, in the last call of its turns.

    See :func:`turns`.
    """
    seconds = turns(contenders, repeats, warmup, clock)
    return {name: last for name, (_, last) in seconds.items()}


def turns(
    contenders: Mapping[str, Callable[[], object]],
    repeats: int,
    warmup: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, tuple[float, float]]:
    r"""The median seconds of each contender, in the first and last call of a turn.

    They take turns, so that what slows the machine for a while slows all of them; each
    repetition starts with another one. A turn is ``CALLS`` calls. The first finds the
    others' data in the caches, the last its own, as a readout does whose input the
    layer before has just written; in between the caches fill, which takes several
    calls where the last level holds what the others evict.

    Args:
        contenders (Mapping): Functions without arguments, by name.
        repeats (int): Timed turns of each.
        warmup (int): Turns before those. (default: :obj:`5`)
        clock (Callable): What tells the time. (default: the wall's)
    """
    names = list(contenders)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for repetition in range(-warmup, repeats):
        shift = repetition % len(names)
        for name in names[shift:] + names[:shift]:
            turn = [_timed(contenders[name], clock) for _ in range(CALLS)]
            if repetition >= 0:
                seconds[name].append((turn[0], turn[-1]))
    return {name: _medians(values) for name, values in seconds.items()}


def _timed(call: Callable[[], object], clock: Callable[[], float]) -> float:
    started = clock()
    call()
    return clock() - started


def _medians(values: list[tuple[float, float]]) -> tuple[float, float]:
    return median(first for first, _ in values), median(last for _, last in values)
