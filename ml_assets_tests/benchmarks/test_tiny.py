"""Every benchmark runs to its last row at a tiny size, judged by its rows and not by its time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

import pytest

from ml_assets_tests.places import TESTS

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Tiny:
    """How a benchmark is made small, by its arguments and its constants, and what its last row says."""

    name: str
    last: str
    sizes: Sequence[object] = ()
    constants: Mapping[str, float] = field(default_factory=dict)


TINY = (
    Tiny("code_location", "load the code location", constants={"ROUNDS": 1}),
    Tiny("declared", "the declared project", constants={"ROUNDS": 1}),
    Tiny("contract", "Budget: ", constants={"ROWS": 30_000}),
    Tiny("year", "Dagster's own event log over ours", [2]),
    Tiny("spine", "28 snapshots", [[0.001]]),
    Tiny("bootstrap", "r2, all processors", constants={"ROWS": 400, "DRAWS": 32}),
    Tiny("training", "Ratio ", constants={"ENTITIES": 300}),
    Tiny("drift", "Evidently", [[10_000]]),
    Tiny("ten_years", "| 20 |", [[20]]),
    Tiny("estimators", "`logistic_regression`", constants={"ROWS": 400}),
    Tiny("default_project", "2017-", [200, 1]),
    Tiny("idle", "Ratios: load ", [[1]], constants={"SETTLED": 0.1, "WATCHED": 0.5, "LOADS": 1}),
)


@pytest.mark.parametrize("tiny", TINY, ids=lambda tiny: tiny.name)
def test_it_runs_to_its_last_row(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = import_module(f"ml_assets_tests.benchmarks.{tiny.name}")
    for name, value in tiny.constants.items():
        monkeypatch.setattr(module, name, value)
    module.main(*tiny.sizes)
    said = capsys.readouterr().out.splitlines()
    assert tiny.last in said[-1]
    for line in said:
        if line.startswith(("| `features_at`", "| `Requests`")):
            right = {word for word in line.split() if word.endswith("%")}
            assert right == {"100.0%"}, "equal to the oracle"


def test_all_that_run_in_a_row_are_here() -> None:
    program = (TESTS / "benchmarks" / "__main__.py").read_text()
    assert {tiny.name for tiny in TINY if f"{tiny.name}.main()" in program} == {tiny.name for tiny in TINY}
    assert program.count(".main()") == len(TINY)
