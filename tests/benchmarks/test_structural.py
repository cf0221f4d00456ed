from benchmarks import structural
from benchmarks.workloads import Workload


def test_prints_both_tables(monkeypatch, capsys) -> None:
    monkeypatch.setattr(structural, "SPREAD", {"A": Workload("A", (3, 5), 4)})
    monkeypatch.setattr(structural, "BAGS", (10,))
    monkeypatch.setattr(structural, "growth_apart", structural.growth)
    assert structural.main(["--repeats", "2"]) == 0
    printed = capsys.readouterr().out
    assert "| A | " in printed
    assert "| 10 | " in printed
