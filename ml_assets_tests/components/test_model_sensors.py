"""What keeps a model going, on a project with a champion of 2024-03-04."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.components.requests import REQUEST
from ml_assets.definitions import resources
from ml_assets.lake import connect
from ml_assets_tests.components import visits
from ml_assets_tests.components.house import SOURCE, House, Tick, between_of, checks, failures, opened

SCORING, DRIFT, WEEKLY = "churn_scoring", "churn_drift_retrain", "churn_weekly_retrain"
CHAMPION, CUTOFF = 1, date(2024, 3, 4)
LAST = 70
"""The number of the last landed day, 2024-03-11; the newest snapshot is of the day after it."""
NEWEST = date(2024, 3, 18)
"""The newest cutoff with mature labels once everything has landed."""
CHAIN = ["churn/training_set", "churn/candidate", "churn/evaluation"]


@pytest.fixture(scope="module")
def grown_home(finished_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished project after two more weeks of events and features."""
    home = tmp_path_factory.mktemp("grown") / "home"
    with opened(home, template=finished_home) as made:
        made.land(LAST + 1, 84)
        assert made.run(SOURCE, LAST + 1, 84).success
        assert made.run(["visitor_features/tiles"], LAST + 1, 84).success
        assert made.run(["visitor_features/snapshot"], LAST + 2, 85).success
    return home


@pytest.fixture
def grown(grown_home: Path, tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path / "home", template=grown_home) as made:
        yield made


@pytest.fixture(scope="module")
def labelled_home(grown_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The grown project with labels up to the newest mature cutoff; that of 2024-03-25 waits."""
    home = tmp_path_factory.mktemp("labelled") / "home"
    with opened(home, template=grown_home) as made:
        result = made.run(["churn/labels"], date(2024, 3, 11), date(2024, 3, 25))
        assert result.success
        event = result.asset_materializations_for_node("churn__labels")[-1]
        assert "Labels of 2024-03-25 are not mature" in str(event.metadata["waiting"].value)
    return home


@pytest.fixture
def labelled(labelled_home: Path, tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path / "home", template=labelled_home) as made:
        yield made


def plant(house: House, version: int = CHAMPION, evidence_id: str = "planted", on: int = LAST) -> None:
    """A line of evidence, as the drift asset writes it."""
    day = visits.day(on)
    with connect() as con:
        rows = con.sql(
            f"SELECT DATE '{day}' AS as_of, '{evidence_id}' AS evidence_id, 'churn' AS model, "
            f"{version}::BIGINT AS champion_version, 0.9::DOUBLE AS share, 'On {day}, visits_7d moved.' AS reason"
        )
        house.churn.tables(house.lake).evidence.append(rows, metadata={})


def weekly(house: House) -> Tick:
    """Evaluate the weekly schedule once, as the daemon does."""
    repository = house.defs.get_repository_def()
    with dg.build_schedule_context(
        instance=house.instance,
        repository_def=repository,
        resources=resources(),
        scheduled_execution_time=datetime(2024, 4, 1, 6, tzinfo=UTC),
    ) as context:
        found = repository.get_schedule_def(WEEKLY).evaluate_tick(context)
    return Tick(list(found.run_requests or []), found.skip_message or "", None)


def promotions(house: House) -> list[tuple[int | None, int]]:
    """The moves of the promotion log, oldest first."""
    with connect() as con:
        rows = house.churn.tables(house.lake).promotions.read(con)
        return rows.order('"at"').select("from_version, to_version").fetchall()


def of_newest(request: dg.RunRequest) -> bool:
    return between_of(request) == (str(NEWEST), str(NEWEST))


# scoring


def test_nothing_is_scored_twice(finished: House) -> None:
    tick = finished.tick(SCORING)
    assert not tick.requests
    assert tick.skip == f"version {CHAMPION} has scored every snapshot as it is"


def test_without_a_champion_nothing_is_scored(landed: House) -> None:
    assert landed.tick(SCORING).skip == "churn has no champion yet"
    assert landed.tick(DRIFT).skip == "there is no champion, or no evidence of drift"


def test_new_snapshots_are_scored_once(grown: House) -> None:
    tick = grown.tick(SCORING)
    assert between_of(tick.only) == (str(visits.day(LAST + 2)), str(visits.day(85)))
    assert grown.tick(SCORING, tick.cursor).only.run_key == tick.only.run_key
    run = grown.put_run(tick.only.tags, dg.DagsterRunStatus.STARTED)
    assert f"run {run.run_id} for {tick.only.tags[REQUEST]} is in flight" in grown.tick(SCORING).skip
    grown.instance.report_run_failed(run)
    again = grown.tick(SCORING).only
    assert again.run_key != tick.only.run_key
    assert grown.launch(again).success
    for cursor in (None, tick.cursor):
        assert "has scored every snapshot as it is" in grown.tick(SCORING, cursor).skip


def test_days_scored_but_not_watched_are_asked_for(grown: House) -> None:
    """A run that ended between predictions and drift leaves days nobody watched."""
    first, last = visits.day(LAST + 2), visits.day(LAST + 3)
    assert grown.run(["churn/predictions"], first, last).success
    assert between_of(grown.tick(SCORING).only)[0] == str(first)


# retraining


def test_without_evidence_there_is_no_retrain(grown: House) -> None:
    assert grown.tick(DRIFT).skip == f"there is no evidence of drift against version {CHAMPION}"
    plant(grown, version=99)
    assert grown.tick(DRIFT).skip == f"there is no evidence of drift against version {CHAMPION}"


def test_a_champion_of_the_newest_cutoff_is_kept(finished: House) -> None:
    plant(finished)
    kept = f"the champion, version {CHAMPION}, is of cutoff {CUTOFF}; no later cutoff has mature labels yet"
    assert finished.tick(DRIFT).skip == kept
    assert weekly(finished).skip == kept


def test_missing_labels_are_asked_for_first(grown: House) -> None:
    plant(grown)
    tick = grown.tick(DRIFT)
    assert [key.to_user_string() for key in tick.only.asset_selection or ()] == ["churn/labels"]
    assert between_of(tick.only) == ("2024-03-11", "2024-03-11")
    assert tick.only.tags["ml_assets/evidence"] == "planted"
    assert grown.tick(DRIFT).only.run_key == tick.only.run_key
    assert grown.launch(tick.only).success
    assert of_newest(grown.tick(DRIFT).only)


@pytest.mark.slow
def test_evidence_retrains_once(labelled: House) -> None:
    plant(labelled)
    tick = labelled.tick(DRIFT)
    request = tick.only
    assert of_newest(request)
    assert request.job_name in (None, "churn_retrain")
    assert not request.asset_selection
    assert request.tags["ml_assets/evidence"] == "planted"
    assert request.tags["ml_assets/evidence_as_of"] == str(visits.day(LAST))
    assert request.tags["ml_assets/evidence_reason"].endswith("visits_7d moved.")
    assert labelled.tick(DRIFT, tick.cursor).only.run_key == request.run_key

    retrain = dg.RunRequest(run_key=request.run_key, job_name="churn_retrain", tags=request.tags)
    result = labelled.launch(retrain)
    assert result.success, failures(result)
    champion = labelled.registry.champion("churn")
    assert champion is not None
    assert (champion.number, champion.cutoff) == (2, NEWEST)
    assert champion.tags["ml_assets/evidence"] == "planted"
    assert promotions(labelled) == [(None, 1), (1, 2)]
    for cursor in (tick.cursor, None):
        assert labelled.tick(DRIFT, cursor).skip == "there is no evidence of drift against version 2"
    assert "no later cutoff has mature labels yet" in weekly(labelled).skip
    plant(labelled, version=2, evidence_id="later")
    assert "no later cutoff has mature labels yet" in labelled.tick(DRIFT).skip
    assert between_of(labelled.tick(SCORING).only) == ("2024-03-26", "2024-03-26")

    assert labelled.run(["churn/champion"]).success
    assert promotions(labelled) == [(None, 1), (1, 2)]


def test_a_retrain_in_flight_is_waited_for(labelled: House) -> None:
    plant(labelled)
    request = labelled.tick(DRIFT).only
    run = labelled.put_run(request.tags, dg.DagsterRunStatus.STARTED)
    assert labelled.tick(DRIFT).skip == f"retrain run {run.run_id} is in flight"
    assert weekly(labelled).skip == f"retrain run {run.run_id} is in flight"
    plant(labelled, evidence_id="more", on=LAST + 1)
    assert labelled.tick(DRIFT).skip == f"retrain run {run.run_id} is in flight"


def test_a_failed_retrain_is_asked_for_three_times_at_most(labelled: House) -> None:
    plant(labelled)
    keys = set()
    for _ in range(3):
        request = labelled.tick(DRIFT).only
        keys.add(request.run_key)
        labelled.put_run(request.tags, dg.DagsterRunStatus.FAILURE)
    assert len(keys) == 3
    tick = labelled.tick(DRIFT)
    assert not tick.requests
    assert "3 runs for churn/retrain:" in tick.skip


def test_the_weekly_schedule_asks_for_the_newest_mature_cutoff(labelled: House) -> None:
    request = weekly(labelled).only
    assert of_newest(request)
    assert request.tags["ml_assets/trigger"] == "schedule"
    assert weekly(labelled).only.run_key == request.run_key
    labelled.put_run(request.tags, dg.DagsterRunStatus.SUCCESS)
    assert "has succeeded" in weekly(labelled).skip


def test_the_drift_asset_finds_evidence_of_a_shift(finished: House) -> None:
    """From landing files with another crowd to the request, nothing planted."""
    for number in range(LAST + 1, 84):
        day = visits.day(number)
        crowd = [
            {
                "visit_id": number * 1000 + visitor,
                "visitor_id": visitor,
                "amount": 900 + visitor,
                "channel": "web" if visitor % 3 == 0 else "shop",
                "occurred_at": datetime(day.year, day.month, day.day, 9, tzinfo=UTC),
            }
            for visitor in range(1, visits.VISITORS + 1)
        ]
        visits.write(finished.path(number), crowd)
    assert finished.run(SOURCE, LAST + 1, 83).success
    assert finished.run(["visitor_features/tiles"], LAST + 1, 83).success
    assert finished.run(["visitor_features/snapshot"], LAST + 2, 84).success
    result = finished.launch(finished.tick(SCORING).only)
    assert not failures(result)
    assert not checks(result)["no_drift"].passed
    tick = finished.tick(DRIFT)
    assert tick.requests, tick.skip
    assert tick.requests[0].tags["ml_assets/evidence"]


# gates and the champion


@pytest.mark.slow
def test_an_evaluation_that_is_refused_refuses_the_champion_later(labelled: House) -> None:
    """Labels of one class at the newest cutoff: the gates say so, and hold in a run of their own."""
    tables = labelled.churn.tables(labelled.lake)
    with connect() as con:
        rows = tables.labels.read(con, between=(NEWEST, NEWEST)).select("* REPLACE (0::INTEGER AS label)")
        tables.labels.replace(rows, between=(NEWEST, NEWEST), metadata={})
    result = labelled.run(CHAIN, NEWEST)
    assert not result.success
    honest = checks(result)["holdout_is_honest"]
    assert not honest.passed
    assert "The holdout has 0 rows with label 1, and 3 are needed" in str(honest.description)
    alone = labelled.run(["churn/champion"])
    assert not alone.success
    (message,) = failures(alone).values()
    assert message.startswith(f"Version 2 of cutoff {NEWEST} is not promoted.")
    assert "Version 1 stays champion." in message
    assert "Traceback" not in message
    champion = labelled.registry.champion("churn")
    assert champion is not None
    assert champion.number == CHAMPION
    assert "has been judged already" in weekly(labelled).skip


@pytest.mark.slow
def test_labels_that_are_not_mature_pass_no_gate(labelled: House) -> None:
    waiting = NEWEST + timedelta(weeks=1)
    result = labelled.run(CHAIN, waiting)
    assert not result.success
    found = checks(result)
    assert not found["holdout_is_honest"].passed
    assert not any("Traceback" in str(check.description) for check in found.values())
    with connect() as con:
        decisions = labelled.churn.tables(labelled.lake).decisions.read(con, between=(waiting, waiting))
        statuses = {status for (status,) in decisions.select("status").fetchall()}
    assert statuses & {"FAIL", "NOT EVALUATED"}


@pytest.mark.slow
def test_a_passed_evaluation_is_promoted_by_a_later_run(labelled: House) -> None:
    assert labelled.run(CHAIN, NEWEST).success
    assert promotions(labelled) == [(None, 1)]
    assert labelled.run(["churn/champion"]).success
    assert promotions(labelled) == [(None, 1), (1, 2)]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("1 = 0", "has no rows: no label has matured by then, or the population is empty"),
        (None, "are 1: with one class"),
    ],
    ids=["an empty population", "one class"],
)
def test_nothing_to_learn_from_is_said_in_words(labelled: House, where: str | None, said: str) -> None:
    tables = labelled.churn.tables(labelled.lake)
    between = (date(2024, 1, 22), NEWEST)
    with connect() as con:
        rows = tables.labels.read(con, between=between)
        rows = rows.filter(where) if where else rows.select("* REPLACE (1::INTEGER AS label)")
        tables.labels.replace(rows, between=between, metadata={})
    result = labelled.run(CHAIN, NEWEST)
    assert not result.success
    (message,) = failures(result).values()
    assert said in message
    assert f"cutoff {NEWEST}" in message
    assert "Traceback" not in message
    assert labelled.run(["churn/champion"]).success
    assert promotions(labelled) == [(None, 1)]
