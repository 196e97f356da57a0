import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.lake import Lake, LakeError, Provenance, Table, connect
from ml_assets.lake.maintenance import KEPT, expire, lost, maintain, needed, tables
from ml_assets_tests.landing.places.s3 import served
from ml_assets_tests.profiles import examples

DAY = date(2024, 1, 1)
NOTHING = timedelta(0)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture(scope="module")
def bucket() -> Iterator[Lake]:
    with served("lake"):
        yield Lake("s3://lake/tables")


@pytest.fixture(params=["folder", "bucket"])
def anywhere(request: pytest.FixtureRequest, lake: Lake) -> Lake:
    """An empty lake in a folder, then in an object store."""
    if request.param == "folder":
        return lake
    store: Lake = request.getfixturevalue("bucket")
    return Lake(f"{store.root}/{request.function.__name__}")


def write(table: Table, number: int, days: int = 3, **inputs: int) -> int:
    with connect() as con:
        rows = con.sql(
            f"SELECT DATE '{DAY}' + (i % {days})::INTEGER AS day, i + {number} AS i FROM range(9) r(i)"
        )
        last = DAY + timedelta(days=days - 1)
        return table.replace(rows, between=(DAY, last), provenance=Provenance(inputs=inputs))


def append(table: Table, times: int) -> None:
    with connect() as con:
        for number in range(times):
            table.append(con.sql(f"SELECT DATE '{DAY}' AS day, {number} AS i"), provenance=Provenance())


def rows(table: Table, version: int | None = None) -> list[tuple[object, ...]]:
    with connect() as con:
        return table.read(con, version=version).order("ALL").fetchall()


def test_versions_to_keep_stay_readable_and_the_others_go(anywhere: Lake) -> None:
    table = anywhere.table("shop/events", "day")
    versions = [write(table, number) for number in range(5)]
    before = {version: rows(table, version) for version in versions}
    done = maintain(table, {versions[1]}, NOTHING)
    assert (done.files_before, done.files_after, done.files_removed) == (15, 6, 9)
    assert rows(table, versions[1]) == before[versions[1]]
    assert rows(table) == before[versions[4]]
    assert lost(table, versions) == [versions[0], *versions[2:4]]


def test_what_was_in_force_within_six_months_stays(lake: Lake) -> None:
    table = lake.table("shop/events", "day")
    versions = [write(table, number) for number in range(4)]
    assert maintain(table, set()).files_removed == 0
    assert lost(table, versions) == []
    assert timedelta(days=182) == KEPT


def test_many_small_files_of_a_partition_become_one(anywhere: Lake) -> None:
    table = anywhere.table("shop/files", "day")
    append(table, 12)
    before = rows(table)
    assert maintain(table, set(), NOTHING).files_after == 1
    assert rows(table) == before
    assert [c.operation for c in table.history()][:3] == ["VACUUM END", "VACUUM START", "OPTIMIZE"]


def test_the_history_that_says_what_was_built_stays_whole(lake: Lake) -> None:
    table = lake.table("shop/events", "day")
    for number in range(3):
        write(table, number)
    about = [c.between for c in table.history() if c.between]
    maintain(table, set(), NOTHING)
    assert [c.between for c in table.history() if c.between] == about


def test_what_a_named_version_was_made_from_is_needed_too(lake: Lake) -> None:
    events, tiles, sets = (lake.table(name, "day") for name in ("shop/events", "shop/tiles", "model/set"))
    first, second = write(events, 0), write(events, 1)
    made = write(tiles, 0, **{"shop/events": first})
    write(tiles, 1, **{"shop/events": second})
    named = write(sets, 0, **{"shop/tiles": made})
    assert needed(lake, {"model/set": {named}}) == {
        "model/set": {named},
        "shop/tiles": {made},
        "shop/events": {first},
    }


def test_a_version_that_is_lost_is_an_error_that_says_so(lake: Lake) -> None:
    table = lake.table("shop/events", "day")
    first = write(table, 0)
    write(table, 1)
    for path in list(Path(table.uri).rglob("*.parquet")):
        if path.as_posix() not in str(table.location.open().file_uris()):  # type: ignore[union-attr]
            path.unlink()
    with pytest.raises(LakeError, match=f"versions {first} are needed and can't be read any more"):
        maintain(table, {first}, NOTHING)


def test_days_beyond_their_retention_go_and_nothing_is_built_again_for_it(lake: Lake) -> None:
    table = lake.table("shop/raw", "day")
    version = write(table, 0, days=3)
    before = rows(table)
    assert expire(table, DAY + timedelta(days=1), "retention of shop") == 3
    assert {row[0] for row in rows(table) if isinstance(row[0], date)} == {
        DAY + timedelta(days=n) for n in (1, 2)
    }
    newest = table.history()[0]
    assert (newest.between, newest.provenance.facts["why"]) == (None, "retention of shop")
    assert rows(table, version) == before
    assert expire(lake.table("shop/none", "day"), DAY, "x") == 0


def test_every_table_is_found(anywhere: Lake) -> None:
    assert tables(anywhere) == []
    for name in ("shop/events", "model/set"):
        write(anywhere.table(name, "day"), 0)
    assert [table.name for table in tables(anywhere)] == ["model/set", "shop/events"]


def test_a_store_that_cant_be_listed_has_lost_nothing(bucket: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    table = bucket.table("shop/unseen", "day")
    version = write(table, 0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    away = Lake(bucket.root, {"max_retries": "0"})
    for look in (lambda: tables(away), lambda: lost(away.table("shop/unseen", "day"), [version])):
        with pytest.raises(OSError, match="S3"):
            look()


WRITER = """
import sys
from datetime import date
from ml_assets.lake import Lake, Provenance, connect
table = Lake(sys.argv[1]).table("shop/events", "day")
with connect() as con:
    for number in range(30):
        table.append(con.sql(f"SELECT DATE '2024-01-01' AS day, {number} AS i"), provenance=Provenance())
import os; os._exit(0)
"""


def test_a_writer_at_work_loses_nothing(lake: Lake) -> None:
    table = lake.table("shop/events", "day")
    append(table, 6)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, lake.root], env={**os.environ})
    while writer.poll() is None:
        maintain(table, set(), timedelta(hours=1))
    assert writer.returncode == 0
    maintain(table, set(), NOTHING)
    assert len(rows(table)) == 36


steps = st.lists(st.sampled_from(["write", "append", "maintain", "keep"]), min_size=2, max_size=7)


@examples(15)
@given(steps)
def test_maintenance_changes_no_kept_version(
    tmp_path_factory: pytest.TempPathFactory, taken: list[str]
) -> None:
    table = Lake(str(tmp_path_factory.mktemp("lake"))).table("shop/events", "day")
    kept = {write(table, 0): None}
    expected: dict[int, list[tuple[object, ...]]] = {version: rows(table, version) for version in kept}
    for number, step in enumerate(taken, start=1):
        if step == "write":
            write(table, number)
        elif step == "append":
            append(table, 3)
        elif step == "keep":
            version = table.version
            assert version is not None
            expected[version] = rows(table, version)
        else:
            newest = rows(table)
            maintain(table, set(expected), NOTHING)
            assert rows(table) == newest
        assert {version: rows(table, version) for version in expected} == expected


def test_old_checkpoints_go_and_every_version_still_opens(
    table: Table, con: duckdb.DuckDBPyConnection
) -> None:
    for number in range(5):
        day = DAY + timedelta(days=number)
        rows = con.sql(f"SELECT DATE '{day}' AS day, {number} AS n")
        table.replace(rows, between=(day, day), provenance=Provenance())
        DeltaTable(table.uri).create_checkpoint()
    maintain(table, ())
    left = sorted(path.name for path in Path(table.uri, "_delta_log").glob("*.checkpoint.parquet"))
    assert left == [f"{version:020}.checkpoint.parquet" for version in (4, 5)]
    for version in range(6):
        assert len(table.read(con, version=version).fetchall()) == version
    assert [commit.version for commit in table.history()] == [5, 4, 3, 2, 1, 0]
