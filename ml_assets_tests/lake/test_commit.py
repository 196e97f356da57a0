from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from ml_assets.lake import Commit, Lake, Provenance
from ml_assets.lake.commit import history

DAY = date(2024, 1, 1)


def test_commits_keep_their_versions_when_another_writer_comes_between(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """delta-rs itself would give the new commit the version that was opened."""
    table = Lake(str(tmp_path)).table("a/b", "day")

    def write(run: str) -> None:
        rows = con.sql(f"SELECT DATE '{DAY}' AS day, 1 AS n")
        table.replace(rows, between=(DAY, DAY), provenance=Provenance(run=run))

    write("first")
    opened = DeltaTable(table.uri)
    assert [entry["version"] for entry in opened.history(1)] == [1]
    write("second")
    assert opened.version() == 1
    assert [(c.version, c.provenance.run) for c in history(opened, 2)] == [(2, "second"), (1, "first")]
    assert history(opened) == table.history()


def test_an_entry_of_the_history_is_a_commit() -> None:
    entry = {
        "version": 4,
        "timestamp": 1_704_067_200_500,
        "operation": "WRITE",
        "first": "2024-01-01",
        "last": "2024-01-03",
        "left": "2024-01-02 2024-01-03",
        "compared": "-1",
        "operationParameters": {"mode": "Overwrite"},
    }
    assert Commit.of(entry) == Commit(
        4,
        datetime(2024, 1, 1, microsecond=500_000, tzinfo=UTC),
        "WRITE",
        (DAY, date(2024, 1, 3)),
        frozenset({date(2024, 1, 2), date(2024, 1, 3)}),
        -1,
    )
    bare = Commit.of({"version": 0, "timestamp": 0, "operation": "CREATE TABLE"})
    assert (bare.between, bare.left, bare.compared, bare.provenance) == (
        None,
        frozenset(),
        None,
        Provenance(),
    )
