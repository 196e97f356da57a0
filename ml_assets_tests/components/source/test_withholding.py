"""A day that breaks its contract: withheld whole, named, refused downstream, until it is mended or waived."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import dagster as dg
import pytest

from ml_assets.lake import Provenance, connect
from ml_assets.landing.withholding import Breach, Waiver, breaches, unwaived, waive, withheld
from ml_assets_tests import visits
from ml_assets_tests.house import SOURCE, House, between_of, checks, failures, span

BAD = 10
TILES, SNAPSHOT = ["visitor_features/tiles"], ["visitor_features/snapshot"]


def spoil(house: House, number: int = BAD) -> None:
    """A file half of whose rows the contract refuses."""
    rows = visits.visits_of(visits.day(number))
    half = len(rows) // 2
    visits.write(house.path(number), [row | {"amount": Decimal(-1)} for row in rows[:half]] + rows[half:])


def waiver(number: int = BAD, *, until: datetime | None = None, rule: str | None = None) -> Waiver:
    now = datetime.now(tz=UTC)
    day = visits.day(number)
    return Waiver(
        day, day, rule, "ann", "the producer can't repeat it", until or now + timedelta(days=9), now
    )


def published(house: House, asset: str = "visits/events") -> set[str]:
    return set(house.instance.get_materialized_partitions(dg.AssetKey(asset.split("/"))))


def test_one_bad_day_costs_the_others_nothing(house: House) -> None:
    house.land(0, 4)
    spoil(house, 2)
    result = house.run(SOURCE, 0, 4)
    assert not result.success
    [message] = failures(result).values()
    assert message.startswith(
        "1 of 5 days of visits break their contract and are withheld; the others are published."
    )
    assert "2024-01-03: refused_share: " in message
    assert "ml-assets data waive visits DAY" in message
    good = {str(visits.day(n)) for n in (0, 1, 3, 4)}
    assert published(house) == good
    assert published(house, "visits/quarantine") == good | {"2024-01-03"}
    assert {str(day) for (day,) in house.rows("visits/events", columns="event_date")} == good
    half = len(visits.visits_of(visits.day(2))) // 2
    assert len(house.rows("visits/quarantine")) == half
    key = dg.AssetCheckKey(dg.AssetKey(["visits", "events"]), "refused_share")
    told = house.instance.event_log_storage.get_asset_check_execution_history(key, limit=100)
    ended = {r.partition: r.status.value for r in told if r.status.value in ("SUCCEEDED", "FAILED")}
    assert ended == dict.fromkeys(good, "SUCCEEDED") | {"2024-01-03": "FAILED"}


def test_a_bad_correction_leaves_what_was_published(landed: House) -> None:
    day = visits.day(BAD)
    before = landed.hash("visits/events", (day, day))
    spoil(landed)
    assert not landed.run(SOURCE, BAD).success
    assert landed.hash("visits/events", (day, day)) == before
    with connect() as con:
        assert list(withheld(con, landed.source)) == [day]


def test_later_runs_downstream_refuse_what_reads_it_and_build_the_rest(landed: House) -> None:
    landed.land(9, 11, salt="corrected")
    spoil(landed)
    assert not landed.run(SOURCE, 9, 11).success
    result = landed.run(TILES, 9, 11)
    [message] = failures(result).values()
    assert message.startswith(
        "1 partitions of visitor_features/tiles read days that are withheld, have not landed or are due"
    )
    assert "2024-01-11: it reads visits of 2024-01-11, withheld: refused_share: " in message
    snapshot = landed.table(SNAPSHOT[0])
    before = snapshot.version
    result = landed.run(SNAPSHOT, 9, 14)
    [message] = failures(result).values()
    assert message.startswith(
        "4 partitions of visitor_features/snapshot read days that are withheld, have not landed or are due"
    )
    assert "and were not built; 2 were" in message
    [written] = [c for c in snapshot.history() if c.version > (before or 0)]
    assert written.between == (visits.day(9), visits.day(10))


def test_a_corrected_file_mends_it(landed: House) -> None:
    spoil(landed)
    assert not landed.run(SOURCE, BAD).success
    landed.land(BAD, BAD, salt="mended")
    request = landed.tick("visits_landing").only
    assert between_of(request) == span(BAD, BAD)
    assert landed.launch(request).success
    with connect() as con:
        assert not breaches(con, landed.source)
    assert landed.run(TILES, BAD).success


def test_a_waiver_lets_it_through_on_the_record(landed: House) -> None:
    spoil(landed)
    assert not landed.run(SOURCE, BAD).success
    assert not landed.tick("visits_landing").requests
    with connect() as con:
        waive(con, landed.source, waiver())
    tick = landed.tick("visits_landing")
    assert between_of(tick.only) == span(BAD, BAD)
    result = landed.launch(tick.only)
    assert result.success, failures(result)
    evaluation = checks(result)["refused_share"]
    assert evaluation.passed
    assert "by ann until" in str(evaluation.metadata["waived"].value)
    day = visits.day(BAD)
    half = len(visits.visits_of(day)) // 2
    assert len(landed.rows("visits/events", (day, day))) == len(visits.visits_of(day)) - half
    assert landed.run(TILES, BAD).success
    assert not landed.tick("visits_landing").requests


def test_when_a_waiver_ends_what_reads_the_day_is_refused_again(landed: House) -> None:
    spoil(landed)
    now = datetime.now(tz=UTC)
    with connect() as con:
        waive(con, landed.source, waiver(until=now + timedelta(days=1)))
    assert landed.run(SOURCE, BAD).success
    assert landed.run(TILES, BAD).success
    with connect() as con:
        landed.source.waivers.replace(
            landed.source.waivers.read(con).select("* REPLACE (now() - INTERVAL 1 SECOND AS until)"),
            between=(now.date().replace(day=1),) * 2,
            provenance=Provenance(),
        )
        [breach] = breaches(con, landed.source)
        assert breach.published
        assert list(withheld(con, landed.source)) == [visits.day(BAD)]
    assert not landed.run(TILES, BAD).success


@pytest.mark.parametrize(
    ("given", "holds"),
    [
        (waiver(), True),
        (waiver(rule="refused_share"), True),
        (waiver(rule="row_count"), False),
        (waiver(BAD + 1), False),
        (waiver(until=datetime(2024, 1, 1, tzinfo=UTC)), False),
    ],
)
def test_what_a_waiver_covers(given: Waiver, holds: bool) -> None:
    breach = Breach(visits.day(BAD), "refused_share", "too many")
    assert (unwaived([breach], [given]) == {}) == holds


def test_a_refused_file_withholds_its_day(landed: House) -> None:
    landed.path(BAD).write_bytes(b"these are not columns" * 20)
    result = landed.run(SOURCE, BAD)
    [message] = failures(result).values()
    assert "2024-01-11: files_accepted: 2024-01-11.parquet" in message
    assert not landed.run(TILES, BAD).success
    landed.path(BAD).unlink()
    request = landed.tick("visits_landing").only
    assert landed.launch(request).success
    assert landed.run(TILES, BAD).success


def test_a_deleted_file_is_recorded_and_takes_no_row_with_it(landed: House) -> None:
    before = landed.hash("visits/events")
    landed.path(BAD).unlink()
    tick = landed.tick("visits_landing")
    assert between_of(tick.only) == span(BAD, BAD)
    assert landed.launch(tick.only).success
    with connect() as con:
        [status] = (
            landed.source.files.read(con)
            .filter(f"landing_date = DATE '{visits.day(BAD)}'")
            .order("seen_at DESC")
            .limit(1)
            .select("status")
            .fetchall()
        )
    assert status == ("deleted",)
    assert landed.hash("visits/events") == before
    assert not landed.tick("visits_landing", tick.cursor).requests
    landed.land(BAD, BAD)
    assert between_of(landed.tick("visits_landing", tick.cursor).only) == span(BAD, BAD)


def test_labels_that_need_a_withheld_day_are_refused(finished: House) -> None:
    labels = finished.churn.tables(finished.lake).labels
    cutoff = min(c.between[0] for c in labels.history() if c.between)
    number = (cutoff - visits.START).days + 3
    spoil(finished, number)
    assert not finished.run(SOURCE, number).success
    [message] = failures(finished.run(["churn/labels"], cutoff)).values()
    assert f"{cutoff}: it reads visits of {visits.day(number)}, withheld" in message


def test_late_rows_ask_for_exactly_the_labels_they_touch(finished: House) -> None:
    assert not finished.tick("models_labels").requests
    labels = finished.churn.tables(finished.lake).labels
    cutoffs = sorted({c for commit in labels.history() if commit.between for c in commit.between})
    touched = cutoffs[0]
    number = (touched - visits.START).days + 1
    finished.land(number, number, salt="corrected")
    assert finished.run(SOURCE, number).success
    asked = [between_of(request) for request in finished.tick("models_labels").requests]
    days = finished.churn.spec.label.days
    expected = [
        c
        for c in finished.churn.cutoffs.between(date(2024, 1, 1), cutoffs[-1])
        if c <= visits.day(number) < c + timedelta(days=days)
    ]
    assert asked == [(str(expected[0]), str(expected[-1]))]
