"""Bad landing files through the real assets: they cost their own day, and nothing is lost."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from ml_assets.lake import connect
from ml_assets.landing.withholding import Waiver, waive
from ml_assets_tests import visits
from ml_assets_tests.house import FEATURES, SOURCE, House, checks, failures, opened, scratch_defs

BAD = 2
"""The number of the day whose file is bad, in days 0 to 4."""
OTHERS = (0, 1, 3, 4)
DAY = timedelta(days=1)


def rows_of(number: int, salt: str = "") -> list[dict[str, object]]:
    return visits.visits_of(visits.day(number), salt=salt)


def without(column: str) -> pa.Schema:
    return pa.schema([field for field in visits.SCHEMA if field.name != column])


def truncated(path: Path) -> None:
    whole = visits.write(path, rows_of(BAD)).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def extra_column(path: Path) -> None:
    schema = visits.SCHEMA.append(pa.field("coupon", pa.string()))
    visits.write(path, [row | {"coupon": "X1"} for row in rows_of(BAD)], schema)


def wrong_type(path: Path) -> None:
    schema = visits.SCHEMA.set(2, pa.field("amount", pa.string()))
    visits.write(path, [row | {"amount": "much"} for row in rows_of(BAD)], schema)


PARQUET: dict[str, tuple[Callable[[Path], object], str]] = {
    "not Parquet": (lambda path: path.write_bytes(b"these are not columns" * 20), "Parquet"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "truncated": (truncated, "Parquet"),
    "a column is missing": (lambda path: visits.write(path, rows_of(BAD), without("amount")), "amount"),
    "a column too many": (extra_column, "coupon"),
    "another type": (wrong_type, "amount"),
}
HEADER = ",".join(visits.SCHEMA.names)
CSV: dict[str, tuple[str, str]] = {
    "not text": ("\x00\x01\x02", ""),
    "empty": ("", "empty"),
    "a column is missing": (
        "visit_id,visitor_id,channel,occurred_at\n1,1,shop,2024-01-03 08:00:00Z\n",
        "amount",
    ),
    "a column too many": (HEADER + ",coupon\n1,1,9.50,shop,2024-01-03 08:00:00Z,X1\n", "coupon"),
    "a line breaks off": (HEADER + "\n1,1,9.50,shop,2024-01-03 08:00:00Z\n2,2,9.5", ""),
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """The content hash of each day's events where every file is good."""
    with opened(tmp_path_factory.mktemp("clean") / "home") as made:
        made.land(0, 4)
        assert made.run(SOURCE, 0, 4).success
        return {n: made.hash("visits/events", (visits.day(n), visits.day(n))) for n in range(5)}


def day_hashes(house: House, numbers: tuple[int, ...]) -> dict[int, str]:
    return {n: house.hash("visits/events", (visits.day(n), visits.day(n))) for n in numbers}


def kept_bytes(house: House) -> list[tuple[str, bytes]]:
    with connect() as con:
        return house.source.refused.read(con, columns=["file", "content"]).fetchall()


def told_in_failure(result: dg.ExecuteInProcessResult, path: Path) -> None:
    """The run has failed for the one day, naming its file."""
    assert list(failures(result)) == ["visits__events"]
    [message] = failures(result).values()
    assert message.startswith("1 of 5 days of visits break their contract and are withheld")
    assert f"files_accepted: {path.name}: " in message


@pytest.mark.parametrize("bad", PARQUET)
def test_a_bad_file_costs_its_own_day_only(house: House, clean: dict[int, str], bad: str) -> None:
    spoil, said = PARQUET[bad]
    house.land(0, 4)
    spoil(house.path(BAD))
    result = house.run(SOURCE, 0, 4)
    told_in_failure(result, house.path(BAD))
    assert day_hashes(house, OTHERS) == {n: clean[n] for n in OTHERS}
    assert house.rows("visits/events", (visits.day(BAD), visits.day(BAD))) == []
    assert kept_bytes(house) == [(house.path(BAD).name, house.path(BAD).read_bytes())]
    found = checks(result)["files_accepted"]
    assert not found.passed
    message = str(found.metadata["message"].value)
    assert house.path(BAD).name in message
    assert said.lower() in message.lower()
    assert "Traceback" not in message


def test_a_file_without_rows_is_a_day_without_rows(house: House) -> None:
    house.land(0, 4)
    visits.write(house.path(BAD), [])
    result = house.run(SOURCE, 0, 4)
    assert house.rows("visits/events", (visits.day(BAD), visits.day(BAD))) == []
    assert checks(result)["files_accepted"].passed
    [message] = failures(result).values()
    assert "2024-01-03: row_count: 0 rows found; Somebody comes every day." in message


def test_a_file_without_rows_takes_its_day_back(house: House) -> None:
    """Where the contract allows an empty day."""
    house.land(0, 1)
    assert house.run(SOURCE, 0, 1).success
    visits.write(house.path(1), [])
    with connect() as con:
        now = datetime.now(tz=UTC)
        waive(
            con, house.source, Waiver(visits.day(1), visits.day(1), None, "ann", "no visit", now + DAY, now)
        )
    assert house.run(SOURCE, 1).success
    assert house.rows("visits/events", (visits.day(1), visits.day(1))) == []
    assert len(set(house.rows("visits/raw", None, "content_hash"))) == 2


@pytest.fixture
def csv_house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """The mini use case with CSV files; days 0 to 4 have landed."""
    monkeypatch.syspath_prepend(tmp_path)
    edits = {"visits/defs.yaml": ("  start:", '    pattern: "{date}.csv"\n  start:')}
    module = scratch_defs(tmp_path / f"csv_{tmp_path.name}", edits)
    with opened(tmp_path / "home", module=module) as made:
        visits.land(made.landing, visits.day(0), visits.day(4), suffix="csv")
        yield made


@pytest.mark.parametrize("bad", CSV)
def test_a_bad_csv_costs_its_own_day_only(csv_house: House, bad: str) -> None:
    text, said = CSV[bad]
    path = csv_house.landing / f"{visits.day(BAD)}.csv"
    path.write_text(text)
    result = csv_house.run(SOURCE, 0, 4)
    told_in_failure(result, path)
    for number in OTHERS:
        day = visits.day(number)
        amounts = csv_house.rows("visits/events", (day, day), "visitor_id, amount")
        assert amounts == sorted((row["visitor_id"], row["amount"]) for row in rows_of(number))
    found = checks(result)["files_accepted"]
    assert not found.passed
    message = str(found.metadata["message"].value)
    assert path.name in message
    assert said.lower() in message.lower()
    assert kept_bytes(csv_house) == [(path.name, path.read_bytes())]


def test_a_row_the_contract_refuses_is_kept_as_it_came(house: House) -> None:
    house.land(0, 4)
    rows = rows_of(BAD)
    rows[3] = rows[3] | {"amount": Decimal("-1.25"), "channel": "phone"}
    visits.write(house.path(BAD), rows)
    assert house.run(SOURCE, 0, 4).success
    ((number, original, reasons),) = house.rows("visits/quarantine", None, "row_number, original, reasons")
    assert number == 4
    assert "-1.25" in str(original)
    assert "phone" in str(original)
    assert len(reasons) == 2
    day = visits.day(BAD)
    assert len(house.rows("visits/events", (day, day))) == len(rows) - 1


def test_versions_of_a_day_come_and_go(house: House) -> None:
    day = visits.day(BAD)

    def amounts() -> list[tuple[object, ...]]:
        return house.rows("visits/events", (day, day), "visitor_id, amount")

    def expected(salt: str) -> list[tuple[object, ...]]:
        return sorted((row["visitor_id"], row["amount"]) for row in rows_of(BAD, salt))

    house.land(BAD, BAD)
    assert house.run(SOURCE, BAD).success
    second = visits.write(house.path(BAD), rows_of(BAD, "second")).read_bytes()
    assert house.run(SOURCE, BAD).success
    assert len(set(house.rows("visits/raw", None, "content_hash"))) == 2
    assert amounts() == expected("second")

    house.path(BAD).write_bytes(b"broken")
    refused = house.run(SOURCE, BAD)
    assert not checks(refused)["files_accepted"].passed
    assert amounts() == expected("second")
    assert not house.run(SOURCE, BAD).success
    assert kept_bytes(house) == [(house.path(BAD).name, b"broken")]

    house.path(BAD).write_bytes(second)
    assert checks(house.run(SOURCE, BAD))["files_accepted"].passed
    assert amounts() == expected("second")
    assert len(set(house.rows("visits/raw", None, "content_hash"))) == 2


def test_too_many_refused_rows_block_what_comes_after(house: House) -> None:
    house.land(0, 4)
    spoilt = [row | ({"amount": Decimal(-1)} if i % 3 == 0 else {}) for i, row in enumerate(rows_of(BAD))]
    visits.write(house.path(BAD), spoilt)
    result = house.run([*SOURCE, *FEATURES], 1, 4)
    assert not result.success
    [message] = failures(result).values()
    assert f"{visits.day(BAD)}: refused_share: " in message
    made = {
        key.to_user_string()
        for key in (e.asset_key for e in result.get_asset_materialization_events())
        if key
    }
    assert not made & set(FEATURES)
    assert not house.table("visitor_features/tiles").exists
    assert len(house.rows("visits/quarantine")) == len([row for row in spoilt if row["amount"] == -1])


def test_a_few_refused_rows_block_nothing(house: House) -> None:
    house.land(0, 4)
    rows = rows_of(BAD)
    visits.write(house.path(BAD), [rows[0] | {"amount": Decimal(-1)}, *rows[1:]])
    assert house.run([*SOURCE, *FEATURES], 1, 4).success


def test_without_landing_files_raw_says_so_in_words(house: House) -> None:
    result = house.run(SOURCE, 0, 4)
    assert not result.success
    (message,) = failures(result).values()
    assert message.startswith(f"the landing folder {house.landing} does not exist; land files there")
    assert "Traceback" not in message
    assert "ml_assets/landing" not in message


def test_when_every_file_is_refused_that_is_said(house: House) -> None:
    for number in range(2):
        house.landing.mkdir(exist_ok=True)
        house.path(number).write_bytes(b"broken")
    result = house.run(SOURCE, 0, 1)
    assert not checks(result)["files_accepted"].passed
    assert len(kept_bytes(house)) == 2
    [message] = failures(result).values()
    assert message.startswith("2 of 2 days of visits break their contract")
