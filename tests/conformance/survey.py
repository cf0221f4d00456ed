"""Hold every aggregator against every clause: ``python -m tests.conformance.survey``.

The result is a JSON file: for each set of layers, layer and clause, nothing where the
clause is kept, and otherwise why not.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

EXEMPT = "exempt: "


def main() -> None:
    """Examine PyG's aggregators and this package's, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--without-torch-scatter", action="store_true")
    arguments = parser.parse_args()
    if arguments.without_torch_scatter:
        # An entry of None makes its import fail as if it were not installed.
        sys.modules["torch_scatter"] = None  # type: ignore[assignment]
    warnings.simplefilter("ignore")
    found = {
        layers: _examine(import_module(f"tests.conformance.{layers}").CASES)
        for layers in ("pyg", "ours")
    }
    arguments.file.write_text(json.dumps(found))


def _examine(cases: Iterable[Any]) -> dict[str, dict[str, str | None]]:
    clauses = import_module("tests.conformance.clauses").CLAUSES
    return {
        case.name: {name: _verdict(case, name, clauses[name]) for name in clauses}
        for case in cases
    }


def _verdict(case: Any, name: str, clause: Any) -> str | None:
    if name in case.exempt:
        return EXEMPT + str(case.exempt[name])
    import_module("torch").manual_seed(0)
    try:
        clause(case)
    except Exception as error:
        return str(error).strip() or type(error).__name__
    return None


if __name__ == "__main__":
    main()
