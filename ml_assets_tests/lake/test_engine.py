import hashlib
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from random import Random

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.lake import Lake, Provenance, confined, connect, content_hash, seal
from ml_assets.lake.engine import scratch
from ml_assets_tests.profiles import examples

ROWS = [(1, "a", "2.50"), (2, None, "0.00"), (3, "NULL", "-1.25")]


def hashed(
    con: duckdb.DuckDBPyConnection, rows: Sequence[tuple[object, ...]], columns: str = "n, s, x"
) -> str:
    con.execute("CREATE OR REPLACE TEMP TABLE given (n BIGINT, s VARCHAR, x DECIMAL(9, 2))")
    for row in rows:
        con.execute("INSERT INTO given VALUES (?, ?, ?)", row)
    return content_hash(con.sql(f"SELECT {columns} FROM given"), ["n"])


def test_time_is_utc_whatever_the_machine_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    with connect() as con:
        assert con.execute(
            "SELECT CAST(TIMESTAMPTZ '2020-01-01 23:30:00+00' AS DATE)::VARCHAR"
        ).fetchall() == [("2020-01-01",)]


def test_a_connection_is_closed_after_an_error() -> None:
    kept: list[duckdb.DuckDBPyConnection] = []

    def fail() -> None:
        with connect() as con:
            kept.append(con)
            raise RuntimeError("in the body")

    with pytest.raises(RuntimeError, match="in the body"):
        fail()
    with pytest.raises(duckdb.ConnectionException):
        kept[0].execute("SELECT 1")


def test_the_hash_depends_on_neither_row_nor_column_order(con: duckdb.DuckDBPyConnection) -> None:
    expected = hashed(con, ROWS)
    assert hashed(con, ROWS[::-1]) == expected
    assert hashed(con, ROWS, "x, n, s") == expected


@pytest.mark.parametrize(
    "changed",
    [
        ROWS[:2],
        [*ROWS, (4, "d", "1.00")],
        [(1, "a", "2.51"), *ROWS[1:]],
        [(1, "A", "2.50"), *ROWS[1:]],
        [ROWS[0], (2, "NULL", "0.00"), ROWS[2]],
        [ROWS[0], (2, "null", "0.00"), ROWS[2]],
        [ROWS[0], (2, "", "0.00"), ROWS[2]],
        [ROWS[0], ROWS[1], (3, None, "-1.25")],
        [(1, None, "2.50"), (2, "a", "0.00"), ROWS[2]],
        [(1, 'a","x":"9', "2.50"), *ROWS[1:]],
    ],
    ids=str,
)
def test_the_hash_depends_on_every_value(
    con: duckdb.DuckDBPyConnection, changed: list[tuple[object, ...]]
) -> None:
    assert hashed(con, changed) != hashed(con, ROWS)


def test_the_hash_depends_on_column_names(con: duckdb.DuckDBPyConnection) -> None:
    assert hashed(con, ROWS, "n, s AS t, x") != hashed(con, ROWS)


def test_nothing_has_the_hash_of_nothing(con: duckdb.DuckDBPyConnection) -> None:
    assert hashed(con, []) == hashlib.sha256(b"").hexdigest()


def test_the_hash_is_the_same_over_many_row_groups(con: duckdb.DuckDBPyConnection) -> None:
    numbers = con.sql("SELECT n, md5(n::VARCHAR) AS s FROM range(300_000) AS numbers(n)")
    assert content_hash(numbers, ["n"]) == content_hash(numbers.order("s"), ["n"])


values = st.tuples(st.one_of(st.none(), st.text(max_size=4)), st.one_of(st.none(), st.integers(-9, 9)))


@examples(25)
@given(st.lists(values, max_size=5), st.lists(values, max_size=5), st.integers(0, 99))
def test_equal_hashes_mean_equal_rows(
    one: list[tuple[str | None, int | None]], other: list[tuple[str | None, int | None]], seed: int
) -> None:
    with connect() as con:

        def of(rows: list[tuple[str | None, int | None]]) -> str:
            keyed = [(n, *row) for n, row in enumerate(rows)]
            Random(seed).shuffle(keyed)
            return hashed(con, keyed)

        assert (of(one) == of(other)) == (one == other)


def test_what_one_asks_on_the_side_the_next_does_not_see() -> None:
    with scratch() as one, scratch() as other:
        assert one.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
        for con, value in ((one, 1), (other, 2)):
            con.execute(f"CREATE TEMP TABLE asked AS SELECT {value} AS n")
        assert one.execute("FROM asked").fetchall() == [(1,)]
        assert other.execute("FROM asked").fetchall() == [(2,)]
    with scratch() as con, pytest.raises(duckdb.CatalogException, match="asked"):
        con.execute("FROM asked")


DAY = date(2020, 1, 1)


@pytest.fixture
def lake(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Lake:
    """Two tables of a lake, and files beside it."""
    lake = Lake(str(tmp_path / "home" / "lake"))
    for name in ("shop/events", "other/events"):
        rows = con.sql(f"SELECT DATE '{DAY}' AS event_date, 7 AS amount")
        lake.table(name, "event_date").replace(rows, between=(DAY, DAY), provenance=Provenance())
    (tmp_path / "home" / "secret.txt").write_text("secret")
    return lake


@pytest.fixture
def sealed(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that was sealed after it had read one table."""
    with confined() as con:
        lake.table("shop/events", "event_date").read(con).create_view("events")
        seal(con)
        yield con


def test_a_sealed_connection_reads_what_was_read_before(
    sealed: duckdb.DuckDBPyConnection, con: duckdb.DuckDBPyConnection, lake: Lake
) -> None:
    """Lazily, and in the version of then."""
    rows = con.sql(f"SELECT DATE '{DAY}' AS event_date, 8 AS amount")
    lake.table("shop/events", "event_date").replace(rows, between=(DAY, DAY), provenance=Provenance())
    assert sealed.sql("SELECT amount FROM events").fetchall() == [(7,)]
    assert sealed.sql("SELECT amount, TIMESTAMPTZ '2020-01-01 23:00:00+00'::DATE FROM events").fetchall() == [
        (7, DAY)
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "FROM read_text('/etc/passwd')",
        "FROM read_blob('/proc/self/environ')",
        "FROM read_text('{home}/secret.txt')",
        "FROM '{home}/secret.txt'",
        "FROM read_parquet('{home}/lake/other/events/event_date=2020-01-01/*.parquet')",
        "FROM glob('{home}/*')",
        "FROM glob('/etc/*')",
        "FROM sniff_csv('/etc/passwd')",
        "FROM read_csv('https://localhost:1/x.csv')",
        "FROM duckdb_secrets()",
        "INSTALL httpfs",
        "LOAD httpfs",
        "ATTACH '{home}/new.duckdb' AS new",
        "COPY (SELECT 1) TO '{home}/new.csv'",
        "EXPORT DATABASE '{home}/new'",
        "SET enable_external_access = true",
        "SET allowed_paths = ['/etc/passwd']",
        "SET allowed_directories = ['/etc']",
        "RESET lock_configuration",
        "SET lock_configuration = false",
        "SET autoload_known_extensions = true",
        "SET TimeZone = 'Europe/Berlin'",
        "SELECT getenv('HOME')",
        "FROM lake",
    ],
)
def test_a_sealed_connection_reads_nothing_else(
    sealed: duckdb.DuckDBPyConnection, lake: Lake, statement: str
) -> None:
    home = lake.root.removesuffix("/lake")
    before = sorted(Path(home).iterdir())
    refused = (duckdb.PermissionException, duckdb.InvalidInputException, duckdb.CatalogException)
    with pytest.raises(refused, match=r"disabled|locked|does not exist"):
        sealed.sql(statement.format(home=home)).fetchall()
    assert sorted(Path(home).iterdir()) == before
    assert sealed.sql("SELECT amount FROM events").fetchall() == [(7,)]


def test_nothing_more_is_read_of_the_lake_through_a_sealed_connection(
    sealed: duckdb.DuckDBPyConnection, lake: Lake
) -> None:
    with pytest.raises(RuntimeError, match="sealed: read all tables through it before"):
        lake.table("other/events", "event_date").read(sealed)


def test_a_sealed_connection_spills_to_a_folder_of_its_own() -> None:
    with confined() as con:
        con.execute("SET memory_limit = '40MB'")
        con.execute("SET threads = 1")
        [(folder,)] = con.sql("SELECT current_setting('temp_directory')").fetchall()
        seal(con)
        con.execute(
            "CREATE TABLE many AS SELECT md5(i::VARCHAR) || md5((i + 1)::VARCHAR) AS x FROM range(800_000) r(i)"
        )
        assert con.sql("SELECT count(*) FROM (FROM many ORDER BY x)").fetchall() == [(800_000,)]
        assert list(Path(folder).iterdir())
    assert not Path(folder).exists()


def test_what_is_only_asked_is_sealed_too() -> None:
    with scratch() as con, pytest.raises(duckdb.PermissionException, match="disabled"):
        con.sql("FROM read_text('/etc/passwd')")
