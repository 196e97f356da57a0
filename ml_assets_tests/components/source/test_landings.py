"""Landings other than a folder, through the real assets: an object store, with the tables there too, and a database."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import connect as sqlite

import pytest

from ml_assets.lake import Lake, connect
from ml_assets.landing.places.object_store import LandingBucket
from ml_assets.landing.tables import SourceTables
from ml_assets.operations.in_process import QUIET
from ml_assets_tests import visits
from ml_assets_tests.house import SOURCE, House, between_of, failures, opened, scratch_defs, span
from ml_assets_tests.landing.places.s3 import served

SENSOR = "visits_landing"
FOLDER = 'path: "{{ env.ML_ASSETS_MINI_LANDING }}"'
DATABASE = """database: "sqlite:///{{ env.ML_ASSETS_MINI_LANDING }}/shop.db"
    query: SELECT * FROM visits
    watermark: occurred_at"""


def expected(*numbers: int) -> list[tuple[object, ...]]:
    rows = (row for number in numbers for row in visits.visits_of(visits.day(number)))
    return sorted((row["visit_id"], row["amount"], row["occurred_at"]) for row in rows)


def found(lake: Lake) -> list[tuple[object, ...]]:
    with connect() as con:
        events = SourceTables.of(lake, "visits").events.read(con)
        return events.select("visit_id, amount, occurred_at").order("ALL").fetchall()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def put(house: House, number: int, **how: str) -> None:
    """Land a day in the bucket."""
    content = visits.write(house.path(number), visits.visits_of(visits.day(number), **how)).read_bytes()
    name = f"shop/visits/{visits.day(number)}.parquet"
    with LandingBucket("s3://shop")._store().open_output_stream(name, compression=None) as stream:
        stream.write(content)


@pytest.mark.slow
def test_an_object_store_is_landed_from_and_maintained(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = scratch_defs(
        place / f"bucket_{place.name}", {"visits/defs.yaml": (FOLDER, "url: s3://shop/visits")}
    )
    with served("shop"), opened(place / "home", module=module) as house:
        monkeypatch.setenv("ML_ASSETS_LAKE", "s3://shop/lake")
        lake = Lake("s3://shop/lake")
        for number in range(3):
            put(house, number)
        tick = house.tick(SENSOR)
        assert between_of(tick.only) == span(0, 2)
        result = house.launch(tick.only)
        assert result.success
        raw = result.asset_materializations_for_node("visits__raw")[0]
        assert raw.metadata["landing"].value == "s3://shop/visits"
        assert found(lake) == expected(0, 1, 2)
        assert not house.tick(SENSOR, tick.cursor).requests
        put(house, 1, salt="corrected")
        tick = house.tick(SENSOR, tick.cursor)
        assert between_of(tick.only) == span(1, 1)
        assert house.launch(tick.only).success
        assert found(lake) != expected(0, 1, 2)

        house.registry.prepare()
        job = house.defs.resolve_job_def("lake_maintenance")
        maintained = job.execute_in_process(instance=house.instance, run_config=QUIET, raise_on_error=False)
        assert maintained.success, failures(maintained)
        [event] = maintained.get_asset_materialization_events()
        tables = str(event.materialization.metadata["tables"].value)
        assert "| visits/events | 4 -> 4 |" in tables
        assert "| visits/raw | 4 -> 4 |" in tables


@pytest.fixture
def shop(place: Path) -> Iterator[House]:
    """The mini use case over a database with the days 0 to 2."""
    module = scratch_defs(place / f"database_{place.name}", {"visits/defs.yaml": (FOLDER, DATABASE)})
    with opened(place / "home", module=module) as house:
        house.landing.mkdir()
        sell(house, 0, 1, 2, columns="visit_id, visitor_id, amount, channel, occurred_at")
        yield house


def sell(house: House, *numbers: int, columns: str = "") -> None:
    """What the shop does: rows of some days; with ``columns`` into a new table."""
    rows = [row for number in numbers for row in visits.visits_of(visits.day(number))]
    with closing(sqlite(house.landing / "shop.db")) as con, con:
        if columns:
            con.execute(f"CREATE TABLE visits ({columns})")
        con.executemany(
            "INSERT INTO visits (visit_id, visitor_id, amount, channel, occurred_at) VALUES (?, ?, ?, ?, ?)",
            [tuple(map(str, row.values())) for row in rows],
        )


def test_rows_of_a_database_are_landed_by_day_and_followed(shop: House) -> None:
    tick = shop.tick(SENSOR)
    assert between_of(tick.only) == span(0, 2)
    assert shop.launch(tick.only).success
    assert found(shop.lake) == expected(0, 1, 2)
    assert not shop.tick(SENSOR, tick.cursor).requests
    sell(shop, 3)
    with closing(sqlite(shop.landing / "shop.db")) as con, con:
        con.execute("DELETE FROM visits WHERE visit_id = '1001'")
    tick = shop.tick(SENSOR, tick.cursor)
    assert between_of(tick.only) == span(1, 3)
    assert shop.launch(tick.only).success
    assert found(shop.lake) == [row for row in expected(0, 1, 2, 3) if row[0] != 1001]
    versions = sorted(set(shop.rows("visits/raw", None, "landing_date, content_hash")))
    assert [day for day, _ in versions] == [visits.day(n) for n in (0, 1, 1, 2, 3)]


def test_a_column_that_only_the_watermark_needs_must_be_in_the_contract(shop: House) -> None:
    with closing(sqlite(shop.landing / "shop.db")) as con, con:
        con.execute("ALTER TABLE visits ADD COLUMN written_at")
    [message] = failures(shop.run(SOURCE, 0, 2)).values()
    assert "2024-01-01.jsonl: line 1 has another schema: column 'written_at' is new" in message
