"""What keeps a model going, on a project with a champion of 2024-03-04."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.components.model import retrain, sensors
from ml_assets.components.model.training import called_for_by
from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.requests import REQUEST
from ml_assets.definitions import resources
from ml_assets.instance.alerts import alerts_file
from ml_assets.lake import LakeError, Provenance, connect, records
from ml_assets.monitoring.act.actions import ActionLog
from ml_assets.monitoring.tables import EVIDENCE
from ml_assets.pipeline.due.retrain import newest_evidence
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.promotion_log import ChampionOnRecord
from ml_assets_tests import visits
from ml_assets_tests.house import SOURCE, House, alerts_in, between_of, checks, failures, opened

SCORING, RETRAIN = "models_scoring", "churn_retrain"
CHAMPION, CUTOFF = 1, date(2024, 3, 4)
LAST = 70
"""The number of the last landed day, 2024-03-11; the newest snapshot is of the day after it."""
TODAY = 85
"""The day after the last one that landed in the grown project."""
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


def plant(
    house: House,
    version: int = CHAMPION,
    evidence_id: str = "planted",
    on: int = TODAY,
    calls_for: str = "retrain",
) -> None:
    """A line of evidence, as the drift asset writes it."""
    row = {
        "as_of": visits.day(on),
        "evidence_id": evidence_id,
        "model": "churn",
        "champion_version": version,
        "found_by": "drift",
        "calls_for": calls_for,
        "diagnosis": "data drift with loss",
        "share": 0.9,
        "growth": 0.2,
        "reason": f"On {visits.day(on)}, visits_7d moved.",
    }
    with connect() as con:
        rows = records(con, [row], EVIDENCE.types)
        house.churn.tables(house.lake).evidence.append(rows, provenance=Provenance())


def actions(house: House) -> list[tuple[str, str]]:
    """What the log of actions says, oldest first: who decided what."""
    with connect() as con:
        newest = ActionLog(house.churn.tables(house.lake).actions, "churn").newest(con, 100)
    return [(row["decided_by"], row["action"]) for row in reversed(newest)]


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
    assert tick.skip == "every champion has scored every snapshot as it is"


def test_without_a_champion_nothing_is_scored(landed: House) -> None:
    assert landed.tick(SCORING).skip == "churn has no champion yet"
    assert landed.tick(RETRAIN).only.tags["ml_assets/trigger"] == "first"


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
        assert "every champion has scored every snapshot as it is" in grown.tick(SCORING, cursor).skip


def test_days_scored_but_not_watched_are_asked_for(grown: House) -> None:
    """A run that ended between predictions and drift leaves days nobody watched."""
    first, last = visits.day(LAST + 2), visits.day(LAST + 3)
    assert grown.run(["churn/predictions"], first, last).success
    assert between_of(grown.tick(SCORING).only)[0] == str(first)


def test_a_model_that_fails_holds_up_no_other(grown: House) -> None:
    broken = replace(grown.churn)

    def asks(
        context: dg.SensorEvaluationContext, model: DeclaredModel, *given: object
    ) -> list[dg.RunRequest]:
        if model is broken:
            raise LakeError("Its table is gone.")
        return [dg.RunRequest(run_key="k", asset_selection=[key_of(model, "drift")])] if wanted else []

    sensor = sensors._sensor(replace(sensors.SCORING, asks=asks), [broken, grown.churn])
    given = {name: resources()[name] for name in ("lake", "duckdb")}
    wanted = True
    with dg.build_sensor_context(
        instance=grown.instance, resources=given, repository_def=grown.defs.get_repository_def()
    ) as context:
        found = sensor.evaluate_tick(context)
        assert [request.run_key for request in found.run_requests or ()] == ["k"]
        wanted = False
        with pytest.raises(Exception, match="churn: Its table is gone"):
            sensor.evaluate_tick(context)


# retraining


def test_without_evidence_there_is_no_retrain(finished: House) -> None:
    kept = "Nothing calls for a retrain. Version 1 is renewed regardless once a cutoff of 2024-03-18 or later is mature."
    assert finished.tick(RETRAIN).skip == kept
    plant(finished, version=99, on=LAST)
    assert finished.tick(RETRAIN).skip == kept
    assert actions(finished) == [("churn_retrain", "nothing")]


def test_what_is_on_record_is_looked_at_once(finished: House, monkeypatch: pytest.MonkeyPatch) -> None:
    first = finished.tick(RETRAIN)
    with monkeypatch.context() as patch:
        patch.setattr(retrain, "look", lambda *given: pytest.fail("looked again"))
        again = finished.tick(RETRAIN, first.cursor)
    assert again.skip == "nothing has come on record since nothing called for a retrain"
    plant(finished, on=LAST)
    due = finished.tick(RETRAIN, first.cursor)
    assert due.skip.startswith("No cutoff after the champion's")
    assert finished.tick(RETRAIN, due.cursor).skip == due.skip, "what waits is decided on at every tick"


def test_drift_without_loss_is_recorded(finished: House) -> None:
    plant(finished, on=LAST, calls_for="nothing")
    assert finished.tick(RETRAIN).skip.startswith(
        "On 2024-03-11, visits_7d moved. Version 1 is renewed regardless"
    )


def test_what_is_due_waits_for_labels(finished: House) -> None:
    plant(finished, on=LAST)
    assert finished.tick(RETRAIN).skip == (
        "No cutoff after the champion's has mature labels yet; the next does on 2024-03-18. Due because on 2024-03-11, "
        "visits_7d moved."
    )
    assert actions(finished) == [("churn_retrain", "wait")]


def test_broken_data_is_not_learnt(labelled: House) -> None:
    """A day the retrain would read was found broken: a person is asked, by a line in the log and an alert."""
    plant(labelled)
    broken = {
        "as_of": NEWEST,
        "model_version": 1,
        "broken": True,
        "reason": "spend: 60% of the rows are null",
    }
    with connect() as con:
        days = labelled.churn.tables(labelled.lake).drift_days
        kinds = {"as_of": "DATE", "model_version": "BIGINT", "broken": "BOOLEAN", "reason": "VARCHAR"}
        days.append(records(con, [broken], kinds), provenance=Provenance())
    tick = labelled.tick(RETRAIN)
    assert not tick.requests
    assert tick.skip.startswith(
        "Broken data is mended, never learnt: 2024-03-18: spend: 60% of the rows are null."
    )
    (alert,) = alerts_in(alerts_file())
    assert alert["title"] == "churn needs a person"
    labelled.tick(RETRAIN)
    assert len(alerts_in(alerts_file())) == 1


def test_missing_labels_are_asked_for_first(grown: House) -> None:
    plant(grown)
    tick = grown.tick(RETRAIN)
    assert [key.to_user_string() for key in tick.only.asset_selection or ()] == ["churn/labels"]
    assert between_of(tick.only) == ("2024-03-11", "2024-03-11")
    assert tick.only.tags["ml_assets/evidence"] == "planted"
    assert grown.tick(RETRAIN).only.run_key == tick.only.run_key
    assert grown.launch(tick.only).success
    assert of_newest(grown.tick(RETRAIN).only)


@pytest.mark.slow
def test_evidence_retrains_once(labelled: House) -> None:
    plant(labelled)
    tick = labelled.tick(RETRAIN)
    request = tick.only
    assert of_newest(request)
    assert request.job_name in (None, "churn_retrain")
    assert not request.asset_selection
    assert request.tags["ml_assets/evidence"] == "planted"
    assert request.tags["ml_assets/evidence_as_of"] == str(visits.day(TODAY))
    assert request.tags["ml_assets/why"].endswith("visits_7d moved.")
    assert (request.tags["ml_assets/trigger"], request.tags["ml_assets/champion"]) == ("drift", "1")
    assert labelled.tick(RETRAIN, tick.cursor).only.run_key == request.run_key

    launched = dg.RunRequest(run_key=request.run_key, job_name="churn_retrain", tags=request.tags)
    result = labelled.launch(launched)
    assert result.success, failures(result)
    assert labelled.champion == ChampionOnRecord(2, NEWEST)
    assert labelled.registry.version("churn", 2).tags["ml_assets/evidence"] == "planted"
    assert promotions(labelled) == [(None, 1), (1, 2)]
    for cursor in (tick.cursor, None):
        assert labelled.tick(RETRAIN, cursor).skip.startswith(
            "Nothing calls for a retrain. Version 2 is renewed"
        )
    plant(labelled, version=2, evidence_id="later")
    assert labelled.tick(RETRAIN).skip.startswith("No cutoff after the champion's has mature labels yet")
    assert [action for _, action in actions(labelled)] == ["retrain", "nothing", "wait"]
    assert between_of(labelled.tick(SCORING).only) == ("2024-03-26", "2024-03-26")

    assert labelled.run(["churn/champion"]).success
    assert promotions(labelled) == [(None, 1), (1, 2)]


def test_a_retrain_in_flight_is_waited_for(labelled: House) -> None:
    plant(labelled)
    request = labelled.tick(RETRAIN).only
    run = labelled.put_run(request.tags, dg.DagsterRunStatus.STARTED)
    waits = f"Retrain run {run.run_id} is in flight."
    assert labelled.tick(RETRAIN).skip.startswith(waits)
    plant(labelled, evidence_id="more", on=TODAY + 1)
    assert labelled.tick(RETRAIN).skip.startswith(waits)


def test_a_training_by_hand_is_waited_for(labelled: House) -> None:
    plant(labelled)
    job = labelled.defs.resolve_implicit_global_asset_job_def()
    selected = [dg.AssetKey(["churn", name]) for name in ("training_set", "candidate")]
    by_hand = labelled.instance.create_run_for_job(
        job.get_subset(asset_selection=set(selected)),
        asset_selection=frozenset(selected),
        status=dg.DagsterRunStatus.STARTED,
    )
    tick = labelled.tick(RETRAIN)
    assert not tick.requests
    assert tick.skip.startswith(f"Retrain run {by_hand.run_id} is in flight.")


def test_a_failed_retrain_is_asked_for_three_times_at_most(labelled: House) -> None:
    plant(labelled)
    keys = set()
    for _ in range(3):
        request = labelled.tick(RETRAIN).only
        keys.add(request.run_key)
        labelled.put_run(request.tags, dg.DagsterRunStatus.FAILURE)
    assert len(keys) == 3
    tick = labelled.tick(RETRAIN)
    assert not tick.requests
    assert tick.skip.startswith(f"3 retrains of cutoff {NEWEST} have failed, the last is run ")
    assert [a["title"] for a in alerts_in(alerts_file())] == ["churn needs a person"]
    assert [action for _, action in actions(labelled)] == ["retrain", "ask"]


def test_a_model_of_its_maximum_age_is_renewed(labelled: House) -> None:
    request = labelled.tick(RETRAIN).only
    assert of_newest(request)
    assert request.tags["ml_assets/trigger"] == "age"
    assert request.tags["ml_assets/why"].startswith("Version 1 is of cutoff 2024-03-04, 14 days before")
    assert labelled.tick(RETRAIN).only.run_key == request.run_key
    run = labelled.put_run(request.tags, dg.DagsterRunStatus.STARTED)
    assert labelled.tick(RETRAIN).skip.startswith(f"Retrain run {run.run_id} is in flight.")


def test_the_drift_asset_finds_evidence_of_a_shift(finished: House) -> None:
    """From landing files with another crowd to the evidence and the report, nothing planted."""
    land_crowd(finished, lambda visitor: visitor % 40 + 5)
    result = finished.launch(finished.tick(SCORING).only)
    assert not failures(result)
    found = checks(result)
    assert found["inputs_whole"].passed
    assert not found["no_drift"].passed
    with connect() as con:
        evidence = newest_evidence(con, finished.churn.tables(finished.lake).evidence, CHAMPION)
    assert evidence is not None
    assert (evidence.found_by, evidence.as_of) == ("drift", visits.day(84))
    assert evidence.reason.startswith("On 2024-03-25, visits_")
    assert between_of(finished.tick("models_drift_reports").only) == ("2024-03-25", "2024-03-25")


def test_an_implausible_shift_blocks_and_is_told(finished: House) -> None:
    """Amounts a hundred times as large: the run fails, a person is told, and nothing is retrained."""
    land_crowd(finished, lambda visitor: 100 * (visitor % 40 + 5))
    result = finished.launch(finished.tick(SCORING).only)
    assert not result.success
    found = checks(result)["inputs_whole"]
    assert not found.passed
    assert "are implausible" in str(found.description)
    tick = finished.tick(RETRAIN)
    assert not tick.requests
    assert not finished.tick(SCORING).requests


def land_crowd(house: House, amount: Callable[[int], int]) -> None:
    """Another crowd than in training, from landing to snapshot: everybody comes every day."""
    for number in range(LAST + 1, 84):
        day = visits.day(number)
        crowd = [
            {
                "visit_id": number * 1000 + visitor,
                "visitor_id": visitor,
                "amount": amount(visitor),
                "channel": "web" if visitor % 3 == 0 else "shop",
                "occurred_at": datetime(day.year, day.month, day.day, 9, tzinfo=UTC),
            }
            for visitor in range(1, visits.VISITORS + 1)
        ]
        visits.write(house.path(number), crowd)
    assert house.run(SOURCE, LAST + 1, 83).success
    assert house.run(["visitor_features/tiles"], LAST + 1, 83).success
    assert house.run(["visitor_features/snapshot"], LAST + 2, 84).success


def test_labels_wait_for_the_snapshot_of_their_cutoff(finished: House) -> None:
    finished.land(LAST + 1, 84)
    assert finished.run(SOURCE, LAST + 1, 84).success
    assert between_of(finished.tick("models_labels").only) == ("2024-03-11", "2024-03-11")


def test_a_candidate_says_what_it_was_trained_for(house: House) -> None:
    model = house.churn
    assert called_for_by(model, {}) == {}
    why = {"ml_assets/why": "It is old.", "ml_assets/trigger": "age"}
    assert called_for_by(model, why) == {"why it was trained": "It is old."}
    found = {
        "ml_assets/trigger": "performance",
        "ml_assets/evidence": "e1",
        "ml_assets/evidence_as_of": "2024-03-11",
    }
    linked = called_for_by(model, why | found)["evidence e1, as of 2024-03-11"]
    assert linked == dg.MetadataValue.asset(dg.AssetKey(["churn", "performance"]))


# gates and the champion


@pytest.mark.slow
def test_an_evaluation_that_is_refused_refuses_the_champion_later(labelled: House) -> None:
    """Labels of one class at the newest cutoff: the gates say so, and hold in a run of their own."""
    tables = labelled.churn.tables(labelled.lake)
    with connect() as con:
        rows = tables.labels.read(con, between=(NEWEST, NEWEST)).select("* REPLACE (0::INTEGER AS label)")
        tables.labels.replace(rows, between=(NEWEST, NEWEST), provenance=Provenance())
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
    assert labelled.champion is not None
    assert labelled.champion.version == CHAMPION
    assert (
        f"Version 2 of cutoff {NEWEST}, the newest with mature labels, has been judged already"
        in labelled.tick(RETRAIN).skip
    )


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
        tables.labels.replace(rows, between=between, provenance=Provenance())
    result = labelled.run(CHAIN, NEWEST)
    assert not result.success
    (message,) = failures(result).values()
    assert said in message
    assert f"cutoff {NEWEST}" in message
    assert "Traceback" not in message
    assert labelled.run(["churn/champion"]).success
    assert promotions(labelled) == [(None, 1)]
