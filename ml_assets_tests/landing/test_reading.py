"""What holds for landing files of every format."""

import os
from datetime import date
from pathlib import Path
from tempfile import gettempdir

import duckdb
import pytest

from ml_assets.contracts import Contract
from ml_assets.landing import LandingFile, ReadResult, content_hash, read, reading
from ml_assets_tests.landing.conftest import HEADER, ROW, days, file, read_all, reason, values, write

OBJECT = '{"id":1,"amount":1.50,"Label":"a","occurred_at":"2017-07-01 11:00:00","size":7}\n'
PARQUET = (
    "SELECT 1::BIGINT AS id, 1.50::DECIMAL(10,2) AS amount, 'a' AS \"Label\", "
    "TIMESTAMPTZ '2017-07-01 10:00:00+00' AS occurred_at, 7 AS size"
)
FORMATS = (".csv", ".csv.gz", ".csv.zst", ".jsonl", ".ndjson.gz", ".jsonl.zst", ".parquet")


def land(con: duckdb.DuckDBPyConnection, folder: Path, day: int, suffix: str, rows: int = 1) -> Path:
    if suffix != ".parquet":
        content = OBJECT * rows if "json" in suffix else HEADER + ROW * rows
        return write(folder, day, content or "\n", suffix)
    path = folder / f"2017-07-{day:02}.parquet"
    query = f"SELECT * FROM ({PARQUET}), range({rows}) AS numbers(n)"
    escaped = str(path).replace("'", "''")
    con.execute(f"COPY (SELECT * EXCLUDE (n) FROM ({query})) TO '{escaped}' (FORMAT parquet)")
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_files_become_rows_that_say_where_they_are_from(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str
) -> None:
    first, _ = land(con, folder, 1, suffix, rows=2), land(con, folder, 2, suffix)
    result = read_all(con, folder, contract)
    assert result.refused == []
    assert days(result) == {1: 2, 2: 1}
    assert result.rows is not None
    origin = ["landing_date", "file", "content_hash", "row_number"]
    assert result.rows.columns == [*contract.source_columns, *origin]
    found = values(result, ", ".join(origin))
    assert found[:2] == [(date(2017, 7, 1), first.name, content_hash(first), number) for number in (1, 2)]
    schema = contract.raw_schema(typed=suffix == ".parquet")
    types = [str(kind).replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ") for kind in result.rows.types[:5]]
    assert types == list(schema.values())


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_without_rows_is_a_day_without_rows(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str
) -> None:
    land(con, folder, 1, suffix, rows=0)
    alone = read_all(con, folder, contract)
    assert (alone.refused, days(alone)) == ([], {1: 0})
    assert values(alone) == []
    land(con, folder, 2, suffix)
    assert days(read_all(con, folder, contract)) == {1: 0, 2: 1}


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_empty_file_is_refused(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str
) -> None:
    land(con, folder, 1, suffix)
    (folder / f"2017-07-02{suffix}").touch()
    result = read_all(con, folder, contract)
    assert reason(result) == "is empty (0 bytes) and may have been cut off; land it again"
    assert days(result) == {1: 1}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_is_cut_off_is_refused_and_leaves_nothing_behind(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str
) -> None:
    for day in (1, 3):
        land(con, folder, day, suffix)
    path = land(con, folder, 2, suffix, rows=5_000)
    path.write_bytes(path.read_bytes()[:-5])
    result = read_all(con, folder, contract)
    assert reason(result)
    assert days(result) == {1: 1, 3: 1}
    assert len(values(result)) == 2


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.zst", ".jsonl.gz", ".jsonl.zst"])
def test_the_end_of_a_packed_file_matters(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str
) -> None:
    """DuckDB alone would take the rows that are left, or skip the checksum."""
    path = land(con, folder, 1, suffix, rows=5_000)
    whole = path.read_bytes()
    for at in (3, 8, len(whole) // 2, len(whole) - 12):
        path.write_bytes(whole[:-at])
        assert "is cut off" in reason(read_all(con, folder, contract))
    path.write_bytes(whole + b"more")
    assert "is damaged, the compressed data can't be unpacked" in reason(read_all(con, folder, contract))


def test_the_checksum_of_a_gzip_file_is_checked(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    path = land(con, folder, 1, ".csv.gz")
    damaged = bytearray(path.read_bytes())
    damaged[-6] ^= 1
    path.write_bytes(damaged)
    assert "CRC check failed" in reason(read_all(con, folder, contract))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_changes_while_being_read_is_refused(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str
) -> None:
    hashed = [(file(path), content_hash(path)) for path in (land(con, folder, n, suffix) for n in (1, 2))]
    land(con, folder, 2, suffix, rows=2)
    result = read(con, hashed, contract)
    assert reason(result) == "changed while being read; try again"
    assert days(result) == {1: 1}


def test_a_change_between_hash_and_read_is_seen_without_a_given_hash(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, 1, HEADER + ROW)

    def hash_then_change(path: Path) -> str:
        digest = content_hash(path)
        path.write_text(HEADER + ROW + ROW)
        return digest

    monkeypatch.setattr(reading, "content_hash", hash_then_change)
    assert "changed while being read" in reason(read_all(con, folder, contract))


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_cannot_be_read_is_refused(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str
) -> None:
    gone = land(con, folder, 1, suffix)
    digest = content_hash(gone)
    gone.unlink()
    assert "can't be read (No such file or directory)" in reason(read(con, [(file(gone), digest)], contract))
    gone.mkdir()
    loop = folder / f"2017-07-02{suffix}"
    loop.symlink_to(loop)
    long = folder / f"2017-07-03{'x' * 300}{suffix}"
    good = land(con, folder, 4, suffix)
    files = [LandingFile(date(2017, 7, day), path, 1) for day, path in enumerate((gone, loop, long, good), 1)]
    result = read(con, files, contract)
    said = [refusal.reason.partition("can't be read ")[2].partition(";")[0] for refusal in result.refused]
    assert said == ["(Is a directory)", "(Too many levels of symbolic links)", "(File name too long)"]
    assert days(result) == {4: 1}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_may_not_be_read_is_refused(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    contract: Contract,
    suffix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By another user where the tests run as root, who may read everything."""
    path = land(con, folder, 1, suffix)
    path.chmod(0)
    if os.geteuid():
        assert "can't be read (Permission denied)" in reason(read_all(con, folder, contract))
        return
    for above in (path.parent, *path.parents):
        if above.stat().st_uid == 0 and Path(gettempdir()) in above.parents:
            above.chmod(0o755)
    hashed = [(file(path), content_hash(path))]
    os.seteuid(65534)
    try:
        results = [read_all(con, folder, contract), read(con, hashed, contract)]
    finally:
        os.seteuid(0)
    assert all("can't be read (Permission denied)" in reason(result) for result in results)


def test_one_good_file_is_read_beside_bad_ones_of_every_kind(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    write(folder, 1, b"\xff\xfe")
    write(folder, 2, HEADER + "1\n")
    write(folder, 3, HEADER + ROW)
    write(folder, 4, "<html>")
    result = read_all(con, folder, contract)
    assert [refusal.file.date.day for refusal in result.refused] == [1, 2, 4]
    assert days(result) == {3: 1}


def test_formats_are_not_mixed_and_no_files_are_no_rows(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    assert read(con, [], contract) == ReadResult(None)
    files = [LandingFile(date(2017, 7, 1), folder / name, 1) for name in ("a.csv", "b.parquet", "c.xlsx")]
    for landed in files:
        landed.path.write_text("x")
    with pytest.raises(ValueError, match=r"several formats \(CSV, Parquet\) can't be read in one call"):
        read(con, files[:2], contract)
    with pytest.raises(ValueError, match=r"c\.xlsx is neither Parquet nor CSV nor JSON lines"):
        read(con, files[2:], contract)


def test_two_calls_on_a_connection_do_not_disturb_each_other(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    write(folder, 1, HEADER + ROW)
    first, second = (read_all(con, folder, contract) for _ in range(2))
    assert len(values(first)) == len(values(second)) == 1
