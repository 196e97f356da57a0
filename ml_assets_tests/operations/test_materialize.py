"""Materializing from a script: what it tells."""

import re
from decimal import Decimal
from pathlib import Path
from shutil import copytree

import dagster as dg
import pytest

from ml_assets.instance.progress import heard_by
from ml_assets.operations.materialize import Phase, materialize, run_phase
from ml_assets_tests import visits
from ml_assets_tests.house import House, opened, scratch_defs
from ml_assets_tests.told import Told


def test_without_a_mature_cutoff_it_says_what_the_model_waits_for(house: House) -> None:
    house.land(0, 9)
    house.registry.prepare()
    told = Told()
    with heard_by(told):
        done = materialize(house.project, house.defs, house.instance, house.lake, house.registry, cutoffs=2)
    assert all(phase.success for phase in done)
    assert "churn: there is no champion, because no cutoff has mature labels yet" in told.lines[-1]
    assert "matures once" in told.lines[-1]
    assert told.phases == [phase.phase.in_words for phase in done]
    assert told.outcomes == ["done"] * len(done)
    ended, of = told.counts["steps"][-1]
    assert ended == of > 1
    assert told.counts["days"][0] == (0, 10), "of the snapshot"
    assert house.champion is None


UNREACHED = {
    "calls": ("{path: /nowhere/calls}", "the landing folder /nowhere/calls does not exist"),
    "orders": (
        '{database: "sqlite:////nowhere/orders.db", query: SELECT 1 AS visit_id, watermark: at}',
        "there is no file /nowhere/orders.db",
    ),
}
"""Sources by name: how the landing is declared, and what is said of it."""


@pytest.mark.slow
def test_a_source_that_can_not_be_reached_stops_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "with_sources_unreached"
    module = scratch_defs(folder)
    for name, (landing, _) in UNREACHED.items():
        copytree(folder / "visits", folder / name)
        file = folder / name / "defs.yaml"
        file.write_text(re.sub(r"landing:\n(    .*\n)+", f"landing: {landing}\n", file.read_text()))
    with opened(tmp_path / "home", module=module) as house:
        house.land(0, 9)
        house.registry.prepare()
        done = materialize(house.project, house.defs, house.instance, house.lake, house.registry, cutoffs=2)
        unreached = [phase for phase in done if not phase.success]
        assert [phase.phase.title.partition(":")[0] for phase in unreached] == list(UNREACHED)
        for phase, (_, said) in zip(unreached, UNREACHED.values(), strict=True):
            assert said in phase.messages[0]
            assert phase.is_failure, "the command ends with an error"
        assert len(house.table("visitor_features/snapshot").marks()) == 10


@pytest.mark.parametrize(
    ("severity", "success"),
    [(dg.AssetCheckSeverity.WARN, True), (dg.AssetCheckSeverity.ERROR, False)],
    ids=["warn", "error"],
)
def test_a_check_that_warns_holds_nothing_up(
    house: House, severity: dg.AssetCheckSeverity, success: bool
) -> None:
    @dg.asset
    def measured() -> dg.MaterializeResult:
        return dg.MaterializeResult()

    @dg.asset_check(asset=measured, blocking=True)
    def holds() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, severity=severity, description="not looked at")

    defs = dg.Definitions(assets=[measured], asset_checks=[holds], executor=dg.in_process_executor)
    done = run_phase(defs, house.instance, Phase("measured", (dg.AssetKey("measured"),), None))
    assert done.success is success
    assert done.messages == (f"{severity.value} measured holds: not looked at",)


def test_an_error_that_nobody_raised_on_purpose_is_a_failure_where_a_refusal_is_an_answer(
    house: House,
) -> None:
    @dg.asset
    def refuses() -> None:
        raise dg.Failure("no good", allow_retries=False)

    @dg.asset
    def crashes() -> None:
        raise ZeroDivisionError

    defs = dg.Definitions(assets=[refuses, crashes], executor=dg.in_process_executor)
    for name, ended in (("refuses", "refused"), ("crashes", "failed")):
        done = run_phase(defs, house.instance, Phase(name, (dg.AssetKey(name),), None, if_refused="accept"))
        assert (done.ended, done.is_failure) == (ended, ended == "failed")


def test_a_day_that_is_withheld_fails_the_next_command_too_until_it_is_mended(house: House) -> None:
    house.land(0, 4)
    rows = visits.visits_of(visits.day(2))
    visits.write(house.path(2), [row | {"amount": Decimal(-1)} for row in rows])
    first = house.materialize()
    assert [phase.is_failure for phase in first].count(True) == 1
    (again,) = house.materialize()
    assert (again.phase.title, again.is_failure) == ("visits: withheld days", True)
    (message,) = again.messages
    assert message.startswith("2024-01-03 is withheld: ")
    assert message.endswith("ml-assets data waive visits 2024-01-03 --why TEXT --until DAY")
    house.land(2, 2)
    assert not any(phase.is_failure for phase in house.materialize())
    assert house.materialize() == []
