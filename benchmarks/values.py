r"""What the values of a record may be: other tools' lines are not taken for records."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _amount(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0


def _share(value: Any) -> bool:
    return _amount(value) and value <= 1


def _second(value: Any) -> bool:
    return isinstance(value, Mapping) and _share(value.get("test_accuracy"))


def _of(names: Iterable[str], check: Check) -> dict[str, Check]:
    return dict.fromkeys(names, check)


KEY = {
    **_of(("application", "dataset", "readout", "configuration", "code"), _text),
    **_of(("fold", "seed"), _count),
}
# Each record has the first; whether it has others depends on what has written it.
NEEDED = {**KEY, "test_accuracy": _share}
OTHERS = {
    **_of(("torch", "backend"), _text),
    **_of(("best_epoch", "parameters", "readout_parameters"), _count),
    **_of(("test_ratio", "seconds", "seconds_per_epoch"), _amount),
    **_of(("val_accuracy", "majority_accuracy"), _share),
    "num_test": lambda value: _count(value) and value > 0,
    "test_auc": lambda value: value is None or _share(value),
    "diverged": lambda value: isinstance(value, bool),
    "coefficients": lambda value: isinstance(value, Mapping),
    "by_accuracy": _second,
}


def valid(record: Mapping[str, Any]) -> bool:
    r"""Whether a record has a key, a test accuracy, and each value of its kind."""
    return all(
        name in record and check(record[name]) for name, check in NEEDED.items()
    ) and all(check(record[name]) for name, check in OTHERS.items() if name in record)
