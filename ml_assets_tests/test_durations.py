from pathlib import Path

from ml_assets_tests.durations import Timed, page, timed

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite time="9.5">
<testcase classname="ml_assets_tests.lake.test_table" name="test_append[a|b]" time="1.25">
<properties><property name="kind" value="rooms" /></properties></testcase>
<testcase classname="ml_assets_tests.lake.test_table" name="test_left_out" time="0.1">
<properties><property name="kind" value="rooms" /></properties><skipped message="no data" /></testcase>
</testsuite></testsuites>
"""


def test_a_report_says_what_ran_how_long_and_of_which_kind(tmp_path: Path) -> None:
    report = tmp_path / "test.xml"
    report.write_text(REPORT)
    assert list(timed("test", report)) == [
        Timed("test", "lake/test_table: test_append[a|b]", "rooms", 1.25),
    ]


def test_the_page_counts_by_kind_and_names_the_slowest() -> None:
    tests = [Timed("test", f"lake/test_table: test_{n}[a|b]", "rooms", n) for n in range(30)]
    tests += [Timed("proofs", "operations/test_kill: test_killed", "faults", 300)]
    text = page(tests, {"test": 250, "proofs": 301})
    assert (
        "| rooms | What one function or class does, and what it says when it can't | everywhere | 30 in 435 s | 0 in 0 s |"
        in text
    )
    assert "| all |  |  | 30 in 435 s | 1 in 300 s |" in text
    assert "`make test` 250 s and `make proofs` 301 s" in text
    _, _, slowest = text.partition("The 25 slowest:")
    assert slowest.count("\n| ") == 2 + 25
    assert "| operations/test_kill: test_killed | faults | `make proofs` | 300.0 |" in slowest
    assert "test_29[a/b]" in slowest
    assert "test_5[a/b]" not in slowest, "of 31 tests the 6 fastest are left out"
