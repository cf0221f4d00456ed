from benchmarks.speed_tables import by_readout, relative, shares, worst

SECONDS = {"A": {"uotp": 2.0, "max": 4.0}, "B": {"uotp": 3.0, "max": 1.0}}


def test_a_row_for_each_readout() -> None:
    assert by_readout("ms", SECONDS, ".0f", 1e3).splitlines() == [
        "| ms | A | B |",
        "|---|--:|--:|",
        "| uotp | 2000 | 3000 |",
        "| max | 4000 | 1000 |",
    ]


def test_relative_to_the_others() -> None:
    assert relative(SECONDS, "uotp") == {"A": {"max": 0.5}, "B": {"max": 3.0}}


def test_shares_with_the_rates_they_come_from() -> None:
    rates = {"exponential": 6e-11, "multiply_add": 8e-12, "byte": 5e-11}
    parts = {"A": {"uotp": {"exponentials": 0.25, "memory": 0.5}}}
    found = shares({"rates": rates, "shares": parts})
    assert "| A, uotp | 25% | 50% |" in found
    assert "0.060 ns an exponential, 0.0080 ns a multiply-add" in found
    assert "copies move 20.0 GB/s" in found
    assert shares({"not measured": "no compiler"}).endswith("not measured, no compiler")


def test_the_worst_points_of_a_sweep() -> None:
    cost = {"steps": {"at": [1, 2, 4], "ns": [3.0, 1.0, 2.0], "worst": 0.5}}
    row = worst(cost).splitlines()[-1]
    assert row == "| steps | 1 to 4 | 1.00 at 2 | 3.00 at 1 | 50% |"
