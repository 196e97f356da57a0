"""Tables in an object store: the same promises as in a folder."""

import gc
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from multiprocessing import get_context

import duckdb
import pytest

from ml_assets.lake import Lake, LakeError, Provenance, Table, connect
from ml_assets.landing.places.object_store import LandingBucket
from ml_assets_tests.lake import writers
from ml_assets_tests.landing.places.s3 import served

FIRST = date(2024, 2, 28)
SPAN = (FIRST, FIRST + timedelta(days=3))


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    with served("lake"):
        yield Lake("s3://lake/tables")


def rows(salt: int) -> str:
    return (
        f"SELECT DATE '{FIRST}' + (i % 3)::INTEGER AS day, i, (i + {salt})::DECIMAL(10,2) AS amount, "
        "TIMESTAMPTZ '2024-02-28 10:00:00+00' AS at, 'x' || i AS name, [i, i + 1] AS list FROM range(30) rows(i)"
    )


def stored(table: Table, **how: object) -> list[tuple[object, ...]]:
    with connect() as con:
        return table.read(con, **how).order("ALL").fetchall()  # type: ignore[arg-type]


def test_a_table_is_written_read_replaced_and_read_as_it_was(lake: Lake) -> None:
    table = lake.table("shop/events", "day")
    assert not table.exists
    with connect() as con:
        table.replace(con.sql(rows(0)), between=SPAN, provenance=Provenance(run="1"))
        first, before = table.version, stored(table)
        assert before == con.sql(rows(0)).order("ALL").fetchall()
        assert table.unchanged(con, con.sql(rows(0)), SPAN) == {FIRST + timedelta(days=n) for n in range(4)}
        middle = (FIRST + timedelta(days=1),) * 2
        table.update(
            con, con.sql(rows(5)).filter(f"day = DATE '{middle[0]}'"), between=middle, provenance=Provenance()
        )
        after = stored(table)
    assert [row for row in after if row[0] != middle[0]] == [row for row in before if row[0] != middle[0]]
    assert stored(table, between=middle, columns=["i", "amount"]) == [
        (i, i + 5) for i in range(30) if i % 3 == 1
    ]
    assert stored(table, version=first) == before
    assert table.history()[0].between == middle


def test_only_the_files_of_the_asked_days_are_read(lake: Lake) -> None:
    table = lake.table("shop/pruned", "day")
    with connect() as con:
        table.replace(con.sql(rows(0)), between=SPAN, provenance=Provenance())
        store = LandingBucket("s3://lake")._store()
        for n in (1, 2):
            store.delete_dir(f"lake/tables/shop/pruned/day={FIRST + timedelta(days=n)}")
        asked = table.read(con, between=(FIRST, FIRST), columns=["i"])
        assert sorted(asked.fetchall()) == [(i,) for i in range(0, 30, 3)]
        filtered = table.read(con).filter(f"day = DATE '{FIRST}' AND i < 10").select("i")
        assert sorted(filtered.fetchall()) == [(i,) for i in range(0, 10, 3)]
        plan = " ".join(filtered.explain().replace("│", " ").split())
        assert re.search(r"PYTHON_ARROW_SCAN Filters: .*i\W* < 10.* Projections: i ", plan), plan
        with pytest.raises(duckdb.Error, match=r"day=2024-0\d-\d\d/.* not found"):
            table.read(con).fetchall()


def test_a_view_of_a_table_outlives_what_it_was_made_from(lake: Lake) -> None:
    with connect() as con:
        lake.table("shop/viewed", "day").replace(con.sql(rows(0)), between=SPAN, provenance=Provenance())
        lake.table("shop/viewed", "day").read(con).create_view("viewed", replace=True)
        gc.collect()
        for _ in range(2):
            assert con.sql("SELECT count(*), sum(amount) FROM viewed").fetchall() == [(30, 435)]


def test_two_writers_of_one_table_lose_nothing(lake: Lake) -> None:
    table = lake.table("shop/both", "day")
    days = [FIRST + timedelta(days=n) for n in range(6)]

    def write(day: date) -> None:
        with connect() as con:
            row = con.sql(f"SELECT DATE '{day}' AS day, 1 AS i")
            table.replace(row, between=(day, day), provenance=Provenance())

    write(days[0])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, days[1:]))
    assert [row[0] for row in stored(table)] == days


def test_processes_on_the_same_partition_leave_one_writers_rows(lake: Lake) -> None:
    spawn, times = get_context("spawn"), 4
    together, root = spawn.Barrier(2), f"{lake.root}/processes"
    writing = [
        spawn.Process(target=writers.write_the_same_day, args=(root, n, times, together)) for n in (0, 1)
    ]
    for process in writing:
        process.start()
    for process in writing:
        process.join(90)
        process.kill()
    assert [process.exitcode for process in writing] == [0, 0]
    table = writers.at(root)
    commits = [commit for commit in table.history() if commit.between is not None]
    assert len(commits) == 2 * times
    for commit in commits:
        writer, turn = int(commit.provenance.facts["writer"]), int(commit.provenance.facts["turn"])
        assert stored(table, version=commit.version) == [(writers.FIRST, writer, turn)] * turn


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:1", None])
def test_a_store_that_cant_be_read_is_no_empty_lake(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, endpoint: str | None
) -> None:
    """Nobody may take a server that is down, or a bucket that is gone, for a table that was never written."""
    root = lake.root if endpoint else "s3://no-such-bucket/tables"
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(OSError, match="S3"):
        _ = Lake(root, {"max_retries": "1"}).table("shop/events", "day").exists


def test_a_table_that_is_not_there_says_so(lake: Lake) -> None:
    with pytest.raises(LakeError, match="Table shop/none doesn't exist yet in s3://lake/tables"):
        stored(lake.table("shop/none", "day"))
