"""Prints how many tests there are of each kind, how long they take, and which take longest.

By the reports that `make test` and `make proofs` leave in .pytest_cache; `make durations` writes it into docs/testing.md.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from ml_assets.instance.home import CHECKOUT
from ml_assets_tests.kinds import KINDS
from ml_assets_tests.markdown import table

RUNS = ("test", "proofs")
"""The targets of the Makefile, each with its report."""
SLOWEST = 25


@dataclass(frozen=True)
class Timed:
    """A test that was run: by which target, of which kind, in how many seconds of the clock."""

    run: str
    name: str
    kind: str
    seconds: float


def timed(run: str, report: Path) -> Iterator[Timed]:
    """The tests in a report of pytest (JUnit XML), but for those that were skipped."""
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("skipped") is not None:
            continue
        kinds = [p.get("value") for p in case.iter("property") if p.get("name") == "kind"]
        place = re.sub(r"^ml_assets_tests\.", "", case.get("classname", "")).replace(".", "/")
        yield Timed(run, f"{place}: {case.get('name')}", str(kinds[0]), float(case.get("time", 0)))


def page(tests: list[Timed], clocks: dict[str, float]) -> str:
    """What there is to say, as Markdown."""
    kinds = []
    for kind in KINDS:
        own = [[t.seconds for t in tests if t.kind == kind.name and t.run == run] for run in RUNS]
        kinds.append([kind.name, kind.proves, kind.where, *(f"{len(s):,} in {sum(s):,.0f} s" for s in own)])
    whole = [[t.seconds for t in tests if t.run == run] for run in RUNS]
    kinds.append(["all", "", "", *(f"{len(s):,} in {sum(s):,.0f} s" for s in whole)])
    slowest = sorted(tests, key=lambda t: -t.seconds)[:SLOWEST]
    clock = " and ".join(f"`make {run}` {clocks[run]:,.0f} s" for run in RUNS)
    return "\n\n".join(
        [
            f"Seconds are those of the tests one by one, preparations included; two processes share them: {clock}.",
            table(("Kind", "Proves", "Where", *(f"`make {run}`" for run in RUNS)), kinds),
            f"The {SLOWEST} slowest:",
            table(
                ("Test", "Kind", "By", "Seconds"),
                [[t.name, t.kind, f"`make {t.run}`", f"{t.seconds:.1f}"] for t in slowest],
            ),
        ]
    )


def main() -> None:
    """Read both reports and print."""
    reports = {run: CHECKOUT / ".pytest_cache" / f"{run}.xml" for run in RUNS}
    tests = [test for run, report in reports.items() for test in timed(run, report)]
    clocks = {
        run: sum(float(s.get("time", 0)) for s in ElementTree.parse(report).iter("testsuite"))
        for run, report in reports.items()
    }
    print(page(tests, clocks))


if __name__ == "__main__":
    main()
