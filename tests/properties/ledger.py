"""How many problems each property was tried on, and how near it came to failing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

PROBLEMS, WORST, WHERE = range(3)


class Ledger:
    """Of each property: problems, the worst error in tolerances, and whose it was.

    Problems that Hypothesis tries again to shorten a failure count again.
    """

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = {}
        self._now = ("", "")

    @contextmanager
    def problem(self, name: str, described: str) -> Iterator[None]:
        """Count a problem, and have what is compared noted under its name."""
        self._now = name, described
        yield
        self._row(name)[PROBLEMS] += 1

    def note(self, error: float, what: str) -> None:
        """An error of the problem at hand, in tolerances."""
        name, described = self._now
        row = self._row(name)
        if error > row[WORST]:
            row[WORST:] = [error, f"{what}, {described}"]

    def send(self, config: pytest.Config) -> None:
        """From one of several processes, to that which reports."""
        if hasattr(config, "workeroutput"):
            config.workeroutput["properties"] = self.rows

    def receive(self, node: Any) -> None:
        """What one of several processes has sent; nothing if it broke down."""
        found = getattr(node, "workeroutput", {}).get("properties", {})
        for name, (problems, worst, where) in found.items():
            row = self._row(name)
            row[PROBLEMS] += problems
            if worst > row[WORST]:
                row[WORST:] = [worst, where]

    def report(self, terminal: pytest.TerminalReporter) -> None:
        """Print it, if there is anything."""
        if not self.rows:
            return
        total = sum(row[PROBLEMS] for row in self.rows.values())
        terminal.section(f"properties: {total:,} problems")
        for name, (problems, worst, where) in sorted(self.rows.items()):
            error = f", error at most {worst:.2g} of what is allowed" if where else ""
            terminal.line(f"{name}: {problems:,} problems{error}")
            if where and terminal.verbosity > 0:
                terminal.line(f"    {where}")

    def _row(self, name: str) -> list[Any]:
        return self.rows.setdefault(name, [0, 0.0, ""])


LEDGER = Ledger()
