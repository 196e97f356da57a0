import pytest

from ml_assets import definitions
from ml_assets.cli import app as cli
from ml_assets.lake import Provenance, connect
from ml_assets.operations.check_run import CheckOutcome, NothingToCheck, run_checks
from ml_assets_tests import visits
from ml_assets_tests.house import House

DAY = visits.day(5)
EVENT_CHECKS = "visits/events"


def of(outcomes: list[CheckOutcome], status: str) -> set[tuple[str, str]]:
    return {(o.asset, o.check) for o in outcomes if o.status == status}


def spoil_amount(house: House) -> None:
    """A negative amount in events, past every door."""
    with connect() as con:
        rows = house.source.events.read(con, between=(DAY, DAY))
        spoilt = rows.select(
            "* REPLACE (CASE WHEN visitor_id = 1 THEN -1 ELSE amount END::DECIMAL(10,2) AS amount)"
        )
        house.source.events.replace(spoilt, between=(DAY, DAY), provenance=Provenance())


@pytest.fixture
def commands(landed: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """The command line on the landed project; it makes a Dagster instance of its own there."""
    monkeypatch.setattr(definitions, "defs", landed.defs)
    monkeypatch.setenv("ML_ASSETS_DEFS", landed.module)
    monkeypatch.setenv("DAGSTER_HOME", str(landed.home / ".dagster"))
    return landed


def test_a_good_project_passes(finished: House) -> None:
    outcomes = run_checks(finished.defs, finished.instance, None, None)
    assert not [o for o in outcomes if o.is_error], outcomes
    assets = {o.asset for o in outcomes}
    assert {"visits/raw", "visits/events", "visitor_features/snapshot", "churn/evaluation"} <= assets
    assert len(of(outcomes, "passed")) >= 25


def test_a_corrupted_table_fails_its_rule_only(landed: House) -> None:
    before = run_checks(landed.defs, landed.instance, EVENT_CHECKS, None)
    assert not [o for o in before if o.is_error]
    spoil_amount(landed)
    outcomes = run_checks(landed.defs, landed.instance, EVENT_CHECKS, None)
    (wrong,) = [o for o in outcomes if o.is_error]
    assert wrong.status == "failed"
    assert "amount" in wrong.check
    assert str(DAY) in wrong.message


def test_a_partition_narrows_it(landed: House) -> None:
    spoil_amount(landed)
    on_the_day = run_checks(landed.defs, landed.instance, EVENT_CHECKS, str(DAY))
    the_day_after = run_checks(landed.defs, landed.instance, EVENT_CHECKS, str(visits.day(6)))
    assert [o.status for o in on_the_day if o.is_error] == ["failed"]
    assert not [o for o in the_day_after if o.is_error]


def test_a_check_that_crashes_never_ran(landed: House) -> None:
    outcomes = run_checks(landed.defs, landed.instance, 'key:"churn/evaluation" or key:"visits/raw"', None)
    assert {o.asset for o in outcomes if o.status == "never ran"} == {"churn/evaluation"}
    assert {o.asset for o in outcomes if o.status == "passed"} == {"visits/raw"}
    for outcome in outcomes:
        if outcome.status == "never ran":
            assert outcome.is_error
            assert "churn/decisions doesn't exist yet" in outcome.message
            assert "Traceback" not in outcome.message


@pytest.mark.parametrize(
    ("selection", "partition", "said"),
    [
        (
            "visits/quarantine",
            None,
            "No asset checks are selected by 'visits/quarantine'. Assets with checks: ",
        ),
        ("nowhere", None, "The selection 'nowhere' names no asset: "),
        (
            "visits/events",
            "2031-01-01",
            "No selected asset has a partition 2031-01-01. There are: 2024-01-01 to",
        ),
        (
            "visits/events",
            "yesterday",
            "No selected asset has a partition yesterday. There are: 2024-01-01 to",
        ),
    ],
)
def test_what_does_not_exist_is_refused(
    landed: House, selection: str, partition: str | None, said: str
) -> None:
    with pytest.raises(NothingToCheck) as refused:
        run_checks(landed.defs, landed.instance, selection, partition)
    assert str(refused.value).startswith(said)


def test_the_command_exits_0_where_everything_passes(
    commands: House, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", "--select", EVENT_CHECKS]) == 0
    assert "0 failed, 0 never ran" in capsys.readouterr().out


def test_the_command_exits_1_where_a_check_fails(commands: House, capsys: pytest.CaptureFixture[str]) -> None:
    spoil_amount(commands)
    assert cli.main(["check", "--select", EVENT_CHECKS]) == 1
    out = capsys.readouterr().out
    assert "1 failed, 0 never ran" in out
    assert "failed     visits/events" in out
    assert cli.main(["check", "--select", EVENT_CHECKS, "--partition", str(visits.day(6))]) == 0


def test_the_command_exits_1_where_a_check_never_ran(
    commands: House, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", "--select", "churn/evaluation"]) == 1
    assert "never ran  churn/evaluation" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["--select", "nowhere"], ["--partition", "yesterday"], ["--select", "(("]]
)
def test_the_command_refuses_what_does_not_exist_in_one_line(
    commands: House, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert cli.main(["check", *arguments]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len([line for line in said if line.startswith("ml-assets: ")]) == 1
    assert not any("Traceback" in line for line in said)


def test_without_landing_files_materialize_refuses(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(definitions, "defs", house.defs)
    monkeypatch.setenv("ML_ASSETS_DEFS", house.module)
    monkeypatch.setenv("DAGSTER_HOME", str(house.home / ".dagster"))
    assert cli.main(["materialize"]) == 1
    assert f"the landing folder {house.landing} does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("emptied", [True, False])
def test_a_lost_registry_fails_the_check_and_the_materializing(finished: House, emptied: bool) -> None:
    database = finished.home / "data" / "mlflow" / "mlflow.db"
    database.write_bytes(b"") if emptied else database.unlink()
    outcomes = run_checks(finished.defs, finished.instance, "churn/champion", None)
    (wrong,) = [o for o in outcomes if o.is_error]
    assert (wrong.check, wrong.status) == ("champion_usable", "failed")
    assert "The champion of churn, version 1, can't be used." in wrong.message
    assert "or train again" in wrong.message
    (done,) = [phase for phase in finished.materialize() if phase.is_failure]
    assert done.phase.in_words == "churn: the champion can't be used"
    assert "can't be used. Model churn has no version 1" in done.messages[0]
