"""A lake that an older version wrote opens, is read whole, is not built again for nothing, and is written on."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from shutil import copytree

import pytest

from ml_assets.lake import Lake, connect, content_hash, days, stale_days
from ml_assets.lake.maintenance import needed, tables
from ml_assets.lake.marks import replayed
from ml_assets_tests import visits
from ml_assets_tests.house import KEYS, House, opened, scratch_defs
from ml_assets_tests.places import FIXTURES
from ml_assets_tests.tables import table_of

OLDER = FIXTURES / "lakes" / "flat_keys"
SENSORS = ("visits_landing", "visitor_features_refresh", "models_labels")
FIRST, LAST = date(2024, 1, 1), date(2024, 1, 3)
CUTOFF = date(2024, 1, 2)


class Days:
    """All days up to one."""

    def __init__(self, first: date, last: date) -> None:
        self.first, self.last = first, last

    def between(self, first: date, last: date) -> list[date]:
        return days(max(first, self.first), min(last, self.last))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    copytree(OLDER / "lake", tmp_path / "lake")
    return Lake(str(tmp_path / "lake"))


def test_every_table_reads_as_it_was_written(lake: Lake) -> None:
    expected = json.loads((OLDER / "digests.json").read_text())
    with connect() as con:
        found = {name: content_hash(table_of(lake, name).read(con), KEYS[name]) for name in expected}
    assert found == expected
    assert {table.name for table in tables(lake)} >= {*expected, "visits/raw", "visits/files"}


def test_its_commits_say_what_made_them(lake: Lake) -> None:
    for name in ("visits/events", "visitor_features/tiles", "visitor_features/snapshot", "churn/labels"):
        table = table_of(lake, name)
        newest = table.history(1)[0]
        assert len(newest.provenance.run) == 36
        assert newest.provenance.asset
        assert newest.inputs
        assert newest.compared is not None
        assert table.marks() == replayed({}, reversed(table.history()))
    assert len(table_of(lake, "visits/events").history(1)[0].provenance.facts["contract"]) == 64
    labels = table_of(lake, "churn/labels")
    kept = needed(lake, {labels.name: [labels.version or 0]})
    source, features = ("events", "raw", "files"), ("snapshot", "tiles")
    above = {*(f"visits/{name}" for name in source), *(f"visitor_features/{name}" for name in features)}
    assert kept.keys() == {"churn/labels", *above}


def test_what_was_left_and_what_was_changed_reads_as_marks(lake: Lake) -> None:
    events, tiles = table_of(lake, "visits/events").marks(), table_of(lake, "visitor_features/tiles").marks()
    assert {day: mark.changed for day, mark in events.items()} == {FIRST: 2, CUTOFF: 1, LAST: 2}
    assert {mark.read["visits/files"] for mark in events.values()} == {2}
    assert {mark.definitions for mark in (events | tiles).values()} == {None}


def test_nothing_of_it_is_stale(lake: Lake) -> None:
    def stale(above: str, below: str, reach: tuple[int, int], first: date, last: date) -> set[date]:
        upstream, downstream = table_of(lake, above), table_of(lake, below)
        return stale_days(upstream.marks(), downstream.marks(), above, reach, Days(first, last))

    assert not stale("visits/files", "visits/events", (0, 0), FIRST, LAST)
    assert not stale("visits/files", "visits/quarantine", (0, 0), FIRST, LAST)
    assert not stale("visits/events", "visitor_features/tiles", (0, 0), FIRST, LAST)
    assert not stale(
        "visitor_features/tiles", "visitor_features/snapshot", (-3000, -1), CUTOFF, date(2024, 1, 4)
    )
    assert not stale("visits/events", "churn/labels", (0, 0), CUTOFF, CUTOFF)
    assert stale("visits/events", "churn/labels", (0, 0), LAST, LAST) == {LAST}, "never written"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    copytree(OLDER / "lake", tmp_path / "home" / "data" / "lake")
    copytree(OLDER / "landing", tmp_path / "home" / "landing")
    early = (
        "within: 7d}\n  cutoffs: {every: week, start: 2024-01-22",
        "within: 1d}\n  cutoffs: {every: week, start: 2024-01-02",
    )
    module = scratch_defs(tmp_path / "shop_of_before", {"churn/defs.yaml": early})
    with opened(tmp_path / "home", module=module) as made:
        yield made


def settle(house: House) -> list[tuple[str, str, str]]:
    """Run what the sensors ask for until they ask for nothing; what was asked for."""
    asked = []
    while requests := [request for sensor in SENSORS for request in house.tick(sensor).requests]:
        for request in requests:
            assert house.launch(request).success
            what = request.tags["ml_assets/request"].split(":")[0]
            first, last = (request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
            asked.append((what, first, last))
    return asked


@pytest.mark.slow
def test_it_is_written_on_and_only_what_is_new_is_built(house: House) -> None:
    assert settle(house) == []
    house.land(3, 3)
    assert settle(house) == [
        ("visits/landing", "2024-01-04", "2024-01-04"),
        ("visitor_features/tiles", "2024-01-04", "2024-01-04"),
        ("visitor_features/snapshot", "2024-01-05", "2024-01-05"),
    ]
    visits.land(house.landing, CUTOFF, CUTOFF, salt="corrected")
    assert settle(house) == [
        ("visits/landing", "2024-01-02", "2024-01-02"),
        ("visitor_features/tiles", "2024-01-02", "2024-01-02"),
        ("churn/labels", "2024-01-02", "2024-01-02"),
        ("visitor_features/snapshot", "2024-01-03", "2024-01-05"),
    ]
