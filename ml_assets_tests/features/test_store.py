from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import duckdb
import pytest

from ml_assets.features import Entity, Feature, FeatureError, FeatureSet
from ml_assets.features import store as store_module
from ml_assets.features.queries.at import features_at
from ml_assets.features.queries.request import Requests
from ml_assets.features.store import write_snapshots, write_tiles
from ml_assets.lake import Between, Lake, Provenance, Table, connect, content_hash, syntax
from ml_assets_tests.features.oracle import ALL, LIMITED, SOURCE, Event, expected, load, midnight

FIRST, DAYS, REACH = date(2020, 2, 24), 12, 3
LAST = FIRST + timedelta(days=DAYS - 1)
EVERYTHING = (-36_500, -1)
MICROSECOND = timedelta(microseconds=1)
SNAPSHOT_KEY = ["as_of", "household_id"]
TILE_KEY = ["available_date", "event_date", "household_id"]


def history(seed: int = 7, count: int = 300) -> list[Event]:
    """Events of a few days, some of them late by up to REACH days."""
    random = Random(seed)
    events = []
    for _ in range(count):
        occurred_at = midnight(FIRST) + timedelta(seconds=random.randrange((DAYS - REACH) * 86_400))
        late = timedelta(days=random.choice([0, 0, 0, 1, REACH - 1]), hours=random.randrange(20))
        events.append(
            Event(
                random.choice([1, 2, 3, 4, None]),
                random.randrange(20),
                random.choice([None, Decimal(random.randrange(-500, 5_000)) / 100]),
                random.choice(["a", "b", "c", None]),
                occurred_at,
                occurred_at + late,
            )
        )
    return events


class Store:
    """The three tables of a group, in a lake of their own."""

    def __init__(self, con: duckdb.DuckDBPyConnection, root: Path, features: FeatureSet = ALL) -> None:
        lake = Lake(str(root))
        self.con, self.features = con, features
        self.events: Table = lake.table("transactions/events", "event_date")
        self.tiles: Table = lake.table("group/tiles", "available_date")
        self.snapshot: Table = lake.table("group/snapshot", "as_of")

    def land(self, events: Sequence[Event]) -> None:
        load(self.con, events, "landed")
        days = [event.event_date for event in events]
        self.events.replace(self.con.table("landed"), between=(min(days), max(days)), provenance=Provenance())

    def make_tiles(self, *ranges: Between, reach: int = REACH) -> str:
        for between in ranges:
            write_tiles(
                self.con,
                self.features,
                {"shop": self.events},
                self.tiles,
                between,
                {"shop": reach},
                Provenance(run=str(between[0])),
            )
        return content_hash(self.tiles.read(self.con), TILE_KEY)

    def make_snapshots(self, *ranges: Between) -> str:
        for between in ranges:
            write_snapshots(
                self.con,
                self.features,
                self.tiles,
                self.snapshot,
                between,
                EVERYTHING,
                Provenance(run="test"),
            )
        return content_hash(self.snapshot.read(self.con), SNAPSHOT_KEY)


def days(first: date = FIRST, last: date = LAST) -> list[Between]:
    return [(first + timedelta(days=n),) * 2 for n in range((last - first).days + 1)]


def shuffled(ranges: list[Between]) -> list[Between]:
    return Random(3).sample(ranges, len(ranges))


CHUNKS: dict[str, Callable[[], list[Between]]] = {
    "day by day": days,
    "newest first": lambda: days()[::-1],
    "in any order": lambda: shuffled(days()),
    "unequal": lambda: [(FIRST, days()[4][0]), days()[5], (days()[6][0], LAST)],
    "overlapping": lambda: [(FIRST, days()[7][0]), (days()[3][0], LAST)],
    "twice": lambda: [(FIRST, LAST), (FIRST, LAST)],
}


@pytest.fixture
def store(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Store:
    store = Store(con, tmp_path)
    store.land(history())
    return store


@pytest.mark.parametrize("chunks", CHUNKS)
def test_tiles_and_snapshots_are_the_same_in_any_chunks(store: Store, tmp_path: Path, chunks: str) -> None:
    tiles, snapshots = store.make_tiles((FIRST, LAST)), store.make_snapshots((FIRST, LAST))
    other = Store(store.con, tmp_path / "other")
    other.land(history())
    assert other.make_tiles(*CHUNKS[chunks]()) == tiles
    assert other.make_snapshots(*CHUNKS[chunks]()) == snapshots


def test_chunks_do_not_matter_where_no_feature_looks_back_without_limit(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    store = Store(con, tmp_path, FeatureSet(Entity("household_id"), LIMITED, {"shop": SOURCE}))
    store.land(history(count=8))
    store.make_tiles((FIRST, LAST))
    assert store.make_snapshots((FIRST, LAST)) == store.make_snapshots(*days())


@pytest.mark.parametrize(("rows", "commits"), [(2, DAYS), (12, DAYS // 3)])
def test_so_many_rows_at_a_time(
    store: Store,
    con: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    commits: int,
) -> None:
    store.make_tiles((FIRST, LAST))
    together = store.make_snapshots((FIRST, LAST))
    monkeypatch.setattr(store_module, "ROWS", rows)
    apart = Store(con, tmp_path / "apart")
    apart.tiles.replace(store.tiles.read(con), between=(FIRST, LAST), provenance=Provenance())
    assert apart.make_snapshots((FIRST, LAST)) == together
    assert len([commit for commit in apart.snapshot.history() if commit.between]) == commits


def test_the_tables_hold_what_the_definition_says(store: Store) -> None:
    store.make_tiles((FIRST, LAST))
    store.make_snapshots((FIRST, LAST))
    wanted = {
        (day, entity): values["spend_5d"]
        for day, _ in days()
        for entity, values in expected(history(), midnight(day)).items()
    }
    rows = store.snapshot.read(store.con, columns=["as_of", "household_id", "spend_5d"]).fetchall()
    assert {(day, entity): spend for day, entity, spend in rows} == wanted


def test_the_number_of_rows_is_told(store: Store) -> None:
    between = (FIRST, FIRST + timedelta(days=4))
    tiles = write_tiles(
        store.con, ALL, {"shop": store.events}, store.tiles, between, {"shop": REACH}, Provenance(run="x")
    )
    assert tiles == len(store.tiles.read(store.con, between=between).fetchall()) > 0
    rows = write_snapshots(
        store.con, ALL, store.tiles, store.snapshot, between, EVERYTHING, Provenance(run="x")
    )
    assert rows == len(store.snapshot.read(store.con, between=between).fetchall()) > 0
    assert store.snapshot.history(1)[0].provenance.run == "x"


def test_late_data_changes_only_the_tiles_of_the_day_it_became_known(store: Store) -> None:
    store.make_tiles((FIRST, LAST))

    def by_day() -> dict[date, str]:
        return {
            day: content_hash(store.tiles.read(store.con, between=(day, day)), TILE_KEY) for day, _ in days()
        }

    before, known_on = by_day(), FIRST + timedelta(days=6)
    occurred_at = midnight(known_on) - timedelta(days=2)
    late = Event(1, 99, Decimal("3.00"), "a", occurred_at, midnight(known_on) + MICROSECOND)
    store.land([*history(), late])
    store.make_tiles((FIRST, LAST))
    after = by_day()
    assert {day for day in before if before[day] != after[day]} == {known_on}


def test_the_future_changes_no_snapshot(store: Store) -> None:
    as_of = FIRST + timedelta(days=6)
    store.make_tiles((FIRST, LAST))
    before = store.make_snapshots((as_of, as_of))
    now = midnight(as_of)
    future = [
        Event(1, 99, Decimal("500.00"), "z", now, now),
        Event(9, 99, Decimal("500.00"), "z", now + timedelta(hours=5), now + timedelta(hours=5)),
        Event(1, 99, Decimal("500.00"), "z", now - timedelta(days=1), now + MICROSECOND),
        Event(2, 99, Decimal("500.00"), "z", now - timedelta(days=2), now + timedelta(hours=3)),
    ]
    store.land([*history(), *future])
    store.make_tiles((FIRST, LAST))
    assert store.make_snapshots((as_of, as_of)) == before
    next_day = as_of + timedelta(days=1)
    store.make_snapshots((next_day, next_day))
    known = store.snapshot.read(store.con, between=(next_day, next_day)).filter("household_id = 9").fetchall()
    assert len(known) == 1


def test_an_event_later_than_declared_is_refused(store: Store) -> None:
    before = store.make_tiles((FIRST, LAST))
    occurred_at = midnight(FIRST + timedelta(days=5))
    known_at = occurred_at + timedelta(days=REACH + 1) + MICROSECOND
    store.land([*history(), Event(1, 1, None, None, occurred_at, known_at)])
    with pytest.raises(FeatureError) as refused:
        store.make_tiles((FIRST, LAST))
    assert str(refused.value) == (
        f"An event of shop became available {REACH + 1} days after it happened, but {REACH} days are declared. "
        "Raise landing.late_days in the source's defs.yaml."
    )
    assert content_hash(store.tiles.read(store.con), TILE_KEY) == before


def test_days_without_events_are_empty_partitions(store: Store) -> None:
    quiet = (LAST + timedelta(days=30), LAST + timedelta(days=31))
    store.make_tiles((FIRST, LAST))
    assert (
        write_tiles(store.con, ALL, {"shop": store.events}, store.tiles, quiet, {"shop": REACH}, Provenance())
        == 0
    )
    assert store.tiles.history(1)[0].between == quiet
    assert write_snapshots(store.con, ALL, store.tiles, store.snapshot, quiet, EVERYTHING, Provenance()) == 8


STOLEN = "(SELECT count(*) FROM read_text('/etc/passwd'))"


@pytest.mark.parametrize(
    ("given", "make"),
    [
        ({"count": "*", "windows": ("5d",), "where": f"{STOLEN} > 0"}, Store.make_tiles),
        ({"sql": f"{STOLEN} + items_5d"}, Store.make_snapshots),
    ],
    ids=["of events", "of features"],
)
def test_sql_that_slips_past_the_list_reads_no_file(
    con: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, object],
    make: Callable[[Store, Between], str],
) -> None:
    """By no plan: tiles and snapshots, a spine, a request."""
    monkeypatch.setattr(syntax, "_offence", lambda *_: None)
    stolen = FeatureSet(
        Entity("household_id"), (*LIMITED, Feature.model_validate({"name": "x", **given})), {"shop": SOURCE}
    )
    store = Store(con, tmp_path, FeatureSet(Entity("household_id"), LIMITED, {"shop": SOURCE}))
    store.land(history())
    store.make_tiles((FIRST, LAST))
    store.make_snapshots((FIRST, LAST))
    store.features = stolen
    lately = midnight(LAST) - timedelta(days=REACH)
    spine = con.sql(f"SELECT 1::BIGINT AS household_id, TIMESTAMPTZ '{lately}' AS as_of")
    read = {"events": {"shop": store.events}, "tiles": store.tiles, "reach": {"shop": REACH}}
    monkeypatch.setattr(
        "ml_assets.features.queries.at.snapshot_types", lambda of: dict.fromkeys(of.columns, "INT")
    )
    with pytest.raises(duckdb.PermissionException, match="passwd"):
        make(store, (FIRST, LAST))
    with pytest.raises(duckdb.PermissionException, match="passwd"):
        features_at(con, stolen, spine, **read)
    with connect() as apart, pytest.raises(duckdb.PermissionException, match="passwd"):
        Requests(apart, stolen, **read, since=lately.date())
