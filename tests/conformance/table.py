"""Write docs/conformance.md: ``python -m tests.conformance.table``.

Runs the survey twice, with torch-scatter and with its import blocked.
"""

import json
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tests.conformance.clauses import CLAUSES
from tests.conformance.survey import EXEMPT

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "conformance.md"
TITLES = {
    "ours": "`torch_geometric_uotp`",
    "pyg": "PyTorch Geometric",
}
MARKS = {
    (False, False): "·",
    (True, True): "✗",
    (False, True): "✗¹",
    (True, False): "✗²",
}
HEADER = """# What a readout can be relied on for

Every aggregator of PyTorch Geometric {pyg} and of this package, held against one
contract of {count} clauses (`tests/conformance/`), with torch {torch} on a CPU. Written
by `python -m tests.conformance.table`.

· kept, ✗ not kept, – not claimed, ✗¹ not kept without torch-scatter, ✗² not kept with
it. A ✗ is not always a fault: a set of one node has variance 0, and an LSTM is meant to
depend on the order of its nodes. It is what a model has to know before one readout
takes the place of another.
"""

Verdicts = dict[str, dict[str, dict[str, str | None]]]


def main() -> None:
    """Survey, and write the document."""
    if find_spec("torch_scatter") is None:
        raise SystemExit("torch-scatter is needed to compare with and without it")
    with_scatter, without = _survey(), _survey("--without-torch-scatter")
    header = HEADER.format(
        pyg=version("torch-geometric"),
        torch=version("torch").partition("+")[0],
        count=len(CLAUSES),
    )
    parts = [header, _legend()]
    for layers, title in TITLES.items():
        parts.append(f"## {title}\n")
        parts.append(_grid(with_scatter[layers], without[layers]))
    parts += ["## What happened\n", _reasons(with_scatter)]
    parts += ["Without torch-scatter also:\n", _reasons(without, but=with_scatter)]
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text("\n".join(parts))
    print(DOCUMENT)


def _survey(*options: str) -> Verdicts:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        command = [sys.executable, "-m", "tests.conformance.survey", str(file)]
        # torch.export prints the graphs that it gives up on.
        quiet = subprocess.DEVNULL
        subprocess.run([*command, *options], check=True, stdout=quiet, stderr=quiet)
        found: Verdicts = json.loads(file.read_text())
    return found


def _legend() -> str:
    lines = [
        f"{number}. {(clause.__doc__ or '').splitlines()[0]}"
        for number, clause in enumerate(CLAUSES.values(), 1)
    ]
    return "\n".join(lines) + "\n"


def _grid(
    found: dict[str, dict[str, str | None]], without: dict[str, dict[str, str | None]]
) -> str:
    numbers = range(1, len(CLAUSES) + 1)
    lines = [
        f"| | {' | '.join(map(str, numbers))} | kept |",
        f"|---|{':-:|' * len(numbers)}--:|",
    ]
    for name, verdicts in found.items():
        marks = [_mark(verdicts[clause], without[name][clause]) for clause in CLAUSES]
        kept = f"{marks.count('·')}/{len(marks) - marks.count('–')}"
        lines.append(f"| {name} | {' | '.join(marks)} | {kept} |")
    return "\n".join(lines) + "\n"


def _mark(with_scatter: str | None, without: str | None) -> str:
    if with_scatter is not None and with_scatter.startswith(EXEMPT):
        return "–"
    return MARKS[with_scatter is not None, without is not None]


def _reasons(found: Verdicts, but: Verdicts | None = None) -> str:
    """For each clause, what was raised and by which layers, but for known ones."""
    lines = []
    for number, clause in enumerate(CLAUSES, 1):
        raised: dict[str, list[str]] = {}
        for layers, cases in found.items():
            for name, verdicts in cases.items():
                known = but is not None and but[layers][name][clause] is not None
                if (reason := verdicts[clause]) and not known:
                    raised.setdefault(_brief(reason), []).append(name)
        for reason, names in raised.items():
            lines.append(f"- {number}: {', '.join(names)}: {reason}")
    return "\n".join(lines or ["- nothing"]) + "\n"


def _brief(reason: str) -> str:
    """The first sentence, without paths and without the figures of one run."""
    sentence = re.split(r"\n|\. |: filename", reason.removeprefix(EXEMPT))[0]
    sentence = re.sub(r"off by [\d.e+-]+ ", "off by more than ", sentence)
    sentence = re.sub(r"\(allowed ([\d.e+-]+)\)", r"\1", sentence)
    return f"{sentence[:117]}..." if len(sentence) > 120 else sentence


if __name__ == "__main__":
    main()
