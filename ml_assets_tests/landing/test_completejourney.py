from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from ml_assets.lake import connect
from ml_assets.landing.completejourney import MANIFEST, _package_data, land

NEW_YEAR = date(2017, 1, 1)
SCHEMA = {
    "household_id": "BIGINT",
    "store_id": "BIGINT",
    "basket_id": "BIGINT",
    "product_id": "BIGINT",
    "quantity": "BIGINT",
    "amount": "DECIMAL(10,2)",
    "retail_discount": "DECIMAL(10,2)",
    "coupon_discount": "DECIMAL(10,2)",
    "occurred_at": "TIMESTAMP WITH TIME ZONE",
    "department": "VARCHAR",
    "brand": "VARCHAR",
    "product_category": "VARCHAR",
}


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landing") / "transactions"
    land(folder)
    return folder


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_purchases_land_one_file_per_day_with_purchases(
    year: Path, con: duckdb.DuckDBPyConnection
) -> None:
    files = sorted(year.glob("*.parquet"))
    assert len(files) == 365
    assert (files[0].stem, files[-1].stem) == ("2017-01-01", "2018-01-01")
    assert not (year / "2017-12-25.parquet").exists()
    rows, misplaced = con.execute(
        "SELECT count(*), "
        "count(*) FILTER (strftime(occurred_at, '%Y-%m-%d') || '.parquet' <> parse_filename(filename)) "
        "FROM read_parquet(?, filename = true)",
        [f"{year}/*.parquet"],
    ).fetchall()[0]
    assert (rows, misplaced) == (1_469_307, 0)


def test_columns_are_exact(year: Path, con: duckdb.DuckDBPyConnection) -> None:
    described = con.execute(f"DESCRIBE SELECT * FROM '{year / '2017-03-01.parquet'}'").fetchall()
    assert {name: kind for name, kind, *_ in described} == SCHEMA
    assert [name for name, *_ in described] == list(SCHEMA)


def test_money_is_the_sum_in_cents_and_time_is_utc(year: Path, con: duckdb.DuckDBPyConnection) -> None:
    source = str(_package_data() / "transactions.parquet")
    cents = con.execute(
        "SELECT sum(round(sales_value * 100)::BIGINT), sum(round(retail_disc * 100)::BIGINT), "
        "sum(round(coupon_disc * 100)::BIGINT + round(coupon_match_disc * 100)::BIGINT) FROM read_parquet(?)",
        [source],
    ).fetchall()[0]
    landed = con.execute(
        "SELECT sum(amount), sum(retail_discount), sum(coupon_discount), min(occurred_at) "
        f"FROM '{year}/*.parquet'"
    ).fetchall()[0]
    assert landed[:3] == tuple(Decimal(int(total)) / 100 for total in cents)
    assert landed[3] == datetime(2017, 1, 1, 11, 53, 26, tzinfo=UTC)


def test_rows_are_in_order(year: Path, con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute(
        f"SELECT occurred_at, basket_id, product_id FROM '{year / '2017-05-01.parquet'}'"
    ).fetchall()
    assert len(rows) > 1000
    assert rows == sorted(rows)


def test_a_product_without_a_description_keeps_its_purchase(
    year: Path, con: duckdb.DuckDBPyConnection
) -> None:
    (unknown,) = con.execute(f"SELECT count(*) FROM '{year}/*.parquet' WHERE department IS NULL").fetchall()[
        0
    ]
    assert unknown == 4836


def test_the_same_call_gives_the_same_bytes(year: Path, tmp_path: Path) -> None:
    report = land(tmp_path, start=date(2017, 6, 1), days=3)
    assert (report.files, report.skipped) == (3, 0)
    for path in tmp_path.glob("*.parquet"):
        assert path.read_bytes() == (year / path.name).read_bytes()


def test_a_second_call_writes_nothing(year: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in year.iterdir()}
    report = land(year)
    assert (report.files, report.rows, report.skipped, report.changed) == (0, 0, 365, ())
    assert {path: path.stat().st_mtime_ns for path in year.iterdir()} == before


def test_a_wider_range_adds_only_what_is_missing(tmp_path: Path) -> None:
    first = land(tmp_path, days=2)
    second = land(tmp_path, days=5)
    assert (first.files, second.files, second.skipped) == (2, 3, 2)
    assert sorted(path.stem for path in tmp_path.glob("*.parquet")) == [f"2017-01-0{n}" for n in range(1, 6)]


def test_a_missing_file_comes_back(tmp_path: Path) -> None:
    land(tmp_path, days=3)
    before = contents(tmp_path)
    (tmp_path / "2017-01-02.parquet").unlink()
    assert land(tmp_path, days=3).files == 1
    assert contents(tmp_path) == before


@pytest.mark.parametrize("listed", [True, False], ids=["listed in the manifest", "not listed"])
def test_a_file_somebody_changed_is_left_alone_and_named(tmp_path: Path, listed: bool) -> None:
    land(tmp_path, days=2)
    mine = tmp_path / "2017-01-02.parquet"
    mine.write_bytes(b"my own")
    if not listed:
        (tmp_path / MANIFEST).unlink()
    report = land(tmp_path, days=3)
    assert mine.read_bytes() == b"my own"
    assert (report.files, report.skipped, report.changed) == (1, 1, (mine,))
    assert "2017-01-02.parquet" in str(report)
    assert "left as they are" in str(report)
    assert land(tmp_path, days=3).changed == (mine,)


def test_files_of_a_killed_call_are_recognised_by_their_bytes(tmp_path: Path) -> None:
    land(tmp_path, days=3)
    before = contents(tmp_path)
    (tmp_path / MANIFEST).unlink()
    report = land(tmp_path, days=3)
    assert (report.files, report.skipped, report.changed) == (0, 3, ())
    assert contents(tmp_path) == before


def test_nothing_unfinished_is_ever_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("ml_assets.landing.completejourney._sha256", killed)
    with pytest.raises(KeyboardInterrupt):
        land(tmp_path, days=3)
    assert list(tmp_path.iterdir()) == []


def test_a_range_without_a_purchase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the data goes from 2017-01-01 to 2018-01-01"):
        land(tmp_path, start=date(2019, 1, 1))
    with pytest.raises(ValueError, match="at least 1 day"):
        land(tmp_path, start=NEW_YEAR, days=0)


def test_a_broken_manifest_is_explained(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(ValueError, match="Delete it"):
        land(tmp_path, days=1)


def test_a_missing_package_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml_assets.landing.completejourney.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="make env"):
        land(tmp_path, days=1)
