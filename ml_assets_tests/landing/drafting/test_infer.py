import csv
import gzip
import io
import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from ml_assets.contracts import Contract, ContractError
from ml_assets.contracts.compile.document import parse
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.classify import classify
from ml_assets.landing import LandingFile, read
from ml_assets.landing.drafting import sample
from ml_assets.landing.drafting.draft import rounded_up, scalar
from ml_assets.landing.drafting.infer import infer
from ml_assets.landing.limits import FileLimits
from ml_assets_tests.profiles import examples

DAY = date(2024, 3, 4)
TIMES = [f"2024-03-04 10:{minute:02}:00" for minute in range(60)]
Rows = Sequence[dict[str, Any]]


def written_csv(rows: Rows, delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def land(folder: Path, rows: Rows, name: str = f"{DAY}.csv", delimiter: str = ",") -> Path:
    path = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    elif ".jsonl" in name:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(written_csv(rows, delimiter).encode()))
    else:
        path.write_text(written_csv(rows, delimiter))
    return path


def inferred(
    con: duckdb.DuckDBPyConnection, folder: Path, *files: Path, name: str = "visits"
) -> tuple[Contract, str]:
    text = infer(con, files, name=name)
    path = folder / "contract.yaml"
    path.write_text(text)
    return load_contract(path), text


def refused(
    con: duckdb.DuckDBPyConnection, contract: Contract, *files: Path, delimiter: str = ","
) -> list[tuple[str, list[str]]]:
    """The original and the reasons of every refused row, files refused as a whole among them."""
    days = [date.fromisoformat(file.name[:10]) for file in files]
    landed = [LandingFile(day, file, file.stat().st_size) for day, file in zip(days, files, strict=True)]
    result = read(con, landed, contract, delimiter=delimiter)
    assert [refusal.reason for refusal in result.refused] == []
    if result.rows is None:
        return []
    rows = result.rows.select("*, TIMESTAMPTZ '2100-01-01 00:00:00+00' AS seen_at")
    found = classify(contract, con, rows, late_days=3660).filter("len(reasons) > 0")
    return found.select("original, reasons").fetchall()


def of(column: str, values: Sequence[Any]) -> Rows:
    """Rows with some values of one column, and a time."""
    return [{column: value, "at": TIMES[at % 60]} for at, value in enumerate(values)]


def comment(text: str, of_property: str) -> str:
    """The comment above a property."""
    before = text.split(f"- name: {of_property}\n")[0].splitlines()[:-1]
    lines: list[str] = []
    for line in reversed(before):
        if not line.strip().startswith("#"):
            break
        lines.insert(0, line.strip().removeprefix("#").strip())
    return " ".join(lines)


TYPED: list[tuple[list[str], str]] = [
    (["1", "-2", ""], "BIGINT"),
    (["007", "1"], "VARCHAR"),
    (["007.5", "1.5"], "VARCHAR"),
    (["+4912", "1"], "VARCHAR"),
    (["9223372036854775807"], "BIGINT"),
    (["9223372036854775808"], "VARCHAR"),
    (["1.5", "2"], "DECIMAL(10,2)"),
    (["1.123456", "-1234567.5"], "DECIMAL(18,6)"),
    ([".5", "5."], "DECIMAL(10,2)"),
    (["0.1", "0.30000000000000004"], "DOUBLE"),
    (["1e-05", "0.25"], "DOUBLE"),
    (["1E5", "12E3"], "VARCHAR"),
    (["12345678901234567890123456789.123456789012"], "VARCHAR"),
    (["true", "FALSE", ""], "BOOLEAN"),
    (["yes", "no"], "VARCHAR"),
    (["2024-03-04", "2024-12-31"], "DATE"),
    (["2024-02-30"], "VARCHAR"),
    (["31/12/2024", "01/02/2024"], "DATE"),
    (["31/12/24", "01/02/24"], "DATE"),
    (["2024-03-01T10:00:00Z", "2024-03-01 10:00:00+02:00"], "TIMESTAMPTZ"),
    (["1 Mar 2024 10:00", "14 Mar 2024 10:00"], "TIMESTAMPTZ"),
    (["3,50", "12,5", "1"], "DECIMAL(10,2)"),
    (["1,234", "5,678"], "VARCHAR"),
    (["1", "N/A", "3"], "BIGINT"),
    (["1.50", "null", "3"], "DECIMAL(10,2)"),
    (["N/A", "null"], "VARCHAR"),
    (["", ""], "VARCHAR"),
    (["nan", "1.5"], "DECIMAL(10,2)"),
]


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """A contract inferred from one file that has the values of each case as a column."""
    folder = tmp_path_factory.mktemp("typed")
    rows = [
        {f"value_{at}": values[row % len(values)] for at, (values, _) in enumerate(TYPED)}
        | {"at": TIMES[row]}
        for row in range(3)
    ]
    path = land(folder, rows)
    with duckdb.connect(":memory:") as con:
        con.execute("SET TimeZone = 'UTC'")
        contract, _ = inferred(con, folder, path)
        assert refused(con, contract, path) == []
    return contract


@pytest.mark.parametrize("at", range(len(TYPED)), ids=[str(values) for values, _ in TYPED])
def test_a_type_is_the_narrowest_that_loses_nothing(typed: Contract, at: int) -> None:
    assert typed.column(f"value_{at}").sql_type == TYPED[at][1]


def test_integers_that_a_float_column_printed_are_read_as_integers(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = land(tmp_path, of("CustomerID", ["17850.0", "", "13047.0"]))
    contract, text = inferred(con, tmp_path, path)
    column = contract.column("customer_id")
    assert (column.sql_type, column.required) == ("BIGINT", False)
    assert column.logic == "regexp_extract(CustomerID, '^(-?[0-9]+)([.]0)?$', 1)"
    assert "an integer: each of the 2 values ends in .0" in comment(text, "customer_id")
    assert refused(con, contract, path) == []
    worse = land(tmp_path / "worse", of("CustomerID", ["17850.5", "", "x"]))
    reasons = [reasons for _, reasons in refused(con, contract, worse)]
    assert [reason[0].partition(":")[0] for reason in reasons] == ["customer_id_type"] * 2


def test_a_column_without_gaps_that_ends_in_0_is_a_decimal(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    contract, _ = inferred(con, tmp_path, land(tmp_path, of("degrees", ["12.0", "13.0"])))
    assert contract.column("degrees").sql_type == "DECIMAL(10,2)"


def test_what_values_are_like_becomes_rules(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = [
        {
            "visitId": at,
            "Channel": "web" if at % 3 else "shop",
            "note": f"note {at}" if at % 2 else "",
            "points": at - 5,
            "at": TIMES[at],
        }
        for at in range(60)
    ]
    path = land(tmp_path, rows)
    contract, text = inferred(con, tmp_path, path)
    assert [column.name for column in contract.columns] == [
        "visit_id",
        "channel",
        "note",
        "points",
        "occurred_at",
    ]
    assert contract.primary_key == ("visit_id",)
    assert {rule.name for rule in contract.row_rules} >= {
        "visit_id_required",
        "visit_id_minimum",
        "channel_valid_values",
        "note_max_length",
        "points_required",
        "occurred_at_required",
    }
    assert "points_minimum" not in {rule.name for rule in contract.row_rules}
    assert [rule.name for rule in contract.day_rules] == ["row_count", "refused_share"]
    assert [rule.name for rule in contract.trend_rules] == ["note_nulls_trend", "volume_trend"]
    assert "seen: 30 different values such as 'note 1', 'note 11', up to 7 characters; 50.0 percent" in text
    assert "maxLength: 10" in text
    assert "# A first contract, inferred from 60 rows in 1 file: 2024-03-04.csv." in text
    assert refused(con, contract, path) == []
    other = land(tmp_path / "other", [{**rows[0], "Channel": "phone", "visitId": -1}])
    [(_, reasons)] = refused(con, contract, other)
    assert [reason.partition(":")[0] for reason in reasons] == ["visit_id_minimum", "channel_valid_values"]


def test_the_smallest_key_is_found_per_day(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    def day(number: int) -> Rows:
        return [
            {"basket_id": basket, "line_no": line, "amount": "1.00", "at": f"2024-03-0{number} 10:00:00"}
            for basket in range(4)
            for line in range(5)
        ]

    files = [land(tmp_path, day(number), f"2024-03-0{number}.csv") for number in (4, 5)]
    contract, text = inferred(con, tmp_path, *files)
    assert contract.primary_key == ("basket_id", "line_no")
    assert "identifies a row of a day, with line_no" in comment(text, "basket_id")
    assert "repeats_trend" not in {rule.name for rule in contract.trend_rules}
    assert refused(con, contract, *files) == []


def test_a_key_holds_on_every_day(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    busy = [{"till_id": at, "at": f"2024-03-04 10:00:{at:02}"} for at in range(9)]
    other = [{"till_id": 1, "at": "2024-03-05 10:00:00"}, {"till_id": 1, "at": "2024-03-05 11:00:00"}]
    files = [
        land(tmp_path, rows, f"{day}.csv") for day, rows in (("2024-03-04", busy), ("2024-03-05", other))
    ]
    contract, text = inferred(con, tmp_path, *files)
    assert contract.primary_key == ()
    assert "Set primaryKey: true on what identifies a row" in re.sub(r"\s*\n\s*#\s*", " ", text)
    assert refused(con, contract, *files) == []


def test_repeated_rows_are_warned_of_and_not_refused(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = [{"article": at % 7, "amount": "2.00", "at": TIMES[at % 7]} for at in range(21)]
    path = land(tmp_path, rows)
    contract, text = inferred(con, tmp_path, path)
    assert contract.primary_key == ()
    [rule] = [rule for rule in contract.row_rules if rule.name == "exact_repeat"]
    assert rule.severity == "warning"
    assert "14 rows repeat another one of their day" in re.sub(r"\s*\n\s*#\s*", " ", text)
    assert refused(con, contract, path) == []


def test_the_time_of_the_event_is_the_one_of_the_files_day(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = [{"order_time": "2024-03-01 09:00:00", "updated": TIMES[at], "till": TIMES[at]} for at in range(9)]
    contract, text = inferred(con, tmp_path, land(tmp_path, rows))
    assert contract.column("occurred_at").sources == ("till",)
    assert "other times are order_time, updated" in comment(text, "occurred_at")


def test_day_and_month_are_told_apart_by_the_files_day(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = [{"at": "03/04/2024 10:00", "due": "05/06/2024"}]
    path = land(tmp_path, rows)
    contract, text = inferred(con, tmp_path, path)
    assert contract.column("occurred_at").time_format == "MM/dd/yyyy HH:mm"
    assert contract.column("due").time_format == "dd/MM/yyyy"
    assert "no value tells dd/MM/yyyy from MM/dd/yyyy" in comment(text, "due")
    assert refused(con, contract, path) == []


def test_offsets_make_a_timezone(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = land(tmp_path, [{"at": "2024-03-04T10:00:00+01:00"}, {"at": "2024-03-04T23:00:00Z"}])
    contract, _ = inferred(con, tmp_path, path)
    assert contract.column("occurred_at").offset_required
    mixed = land(tmp_path / "mixed", [{"at": "2024-03-04T10:00:00+01:00"}, {"at": "2024-03-04 23:00:00"}])
    contract, text = inferred(con, tmp_path, mixed)
    assert not contract.column("occurred_at").offset_required
    assert "1 of 2 values have an offset, the others are UTC" in comment(text, "occurred_at")


def test_epochs_are_times(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    moment = datetime(2024, 3, 4, 10, 0, 0, 123_000, tzinfo=UTC)
    path = land(tmp_path, [{"ts": round(moment.timestamp() * 1000), "visit": 5}])
    contract, text = inferred(con, tmp_path, path)
    assert refused(con, contract, path) == []
    result = read(con, [LandingFile(DAY, path, 1)], contract)
    assert result.rows is not None
    rows = classify(contract, con, result.rows.select("*, now() AS seen_at"))
    assert rows.select("occurred_at").fetchall() == [(moment,)]
    assert "count milliseconds from 1970" in comment(text, "occurred_at")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"visit": "1"}], "no column says when an event happened: a contract needs a timestamp"),
        ([{"day": "2024-03-04"}], "day give a day without a time; land the time"),
        ([{"time": "ten o'clock"}], 'Not read as times: time ("ten o\'clock")'),
    ],
)
def test_without_a_time_it_says_what_is_needed(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, rows: Rows, said: str
) -> None:
    with pytest.raises(ContractError) as caught:
        infer(con, [land(tmp_path, rows)], name="visits")
    assert said in str(caught.value)


def test_rows_without_a_time_are_said_to_be_refused(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = land(tmp_path, [{"at": TIMES[0], "visit": 1}, {"at": "", "visit": 2}])
    contract, text = inferred(con, tmp_path, path)
    assert "1 rows have no at and are refused" in comment(text, "occurred_at")
    [(_, reasons)] = refused(con, contract, path)
    assert reasons == ["occurred_at_required: occurred_at is empty, a value expected"]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_found_out(con: duckdb.DuckDBPyConnection, tmp_path: Path, delimiter: str) -> None:
    path = land(tmp_path, of("amount, net", ["1,50", "2,25"]), f"{DAY}.csv.gz", delimiter)
    contract, text = inferred(con, tmp_path, path)
    assert contract.source_columns == ("amount, net", "at")
    assert contract.column("amount_net").sql_type == "DECIMAL(10,2)"
    assert 'pattern: "{date}.csv.gz", delimiter: ' in text
    assert refused(con, contract, path, delimiter=delimiter) == []


def test_names_that_are_taken_get_others(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    row = {
        "occurred_at": "soon",
        "Original": "x",
        "available_at": TIMES[0],
        "order": "1.0",
        "Menge (kg)": "2",
        "€": "3",
        "happened": TIMES[1],
    }
    path = land(tmp_path, [row, {**row, "order": ""}])
    contract, _ = inferred(con, tmp_path, path)
    assert {column.name: column.sources for column in contract.columns} == {
        "occurred_at_value": ("occurred_at",),
        "original_value": ("Original",),
        "available_at_value": ("available_at",),
        "order": ("order",),
        "menge_kg": ("Menge (kg)",),
        "column_6": ("€",),
        "occurred_at": ("happened",),
    }
    assert refused(con, contract, path) == []


def test_an_available_at_after_the_event_stays_one(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = land(tmp_path, [{"happened": TIMES[1], "available_at": TIMES[2]}])
    contract, _ = inferred(con, tmp_path, path)
    assert contract.column("available_at").required
    assert refused(con, contract, path) == []


def test_personal_values_are_not_quoted(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = [{"Email": "ana@example.org", "contact": "bo@example.org", "at": TIMES[0]}] * 2
    _, text = inferred(con, tmp_path, land(tmp_path, rows))
    assert "example.org" not in text
    assert text.count("about a person? then add `classification: personal`") == 2


def test_closed_days_and_late_rows_are_seen(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    days = [DAY + timedelta(days=n) for n in range(28)]
    open_days = [day for day in days if day.weekday() != 6 and day != date(2024, 3, 13)]
    files = [
        land(tmp_path, [{"at": f"{day - timedelta(days=2)} 10:00"}, {"at": f"{day} 11:00"}], f"{day}.csv")
        for day in open_days
    ]
    contract, text = inferred(con, tmp_path, *files)
    assert date(2024, 3, 10) in contract.closed
    assert date(2024, 3, 13) not in contract.closed
    assert "or their files are lost: 2024-03-13" in text
    assert 'landing: {path: ..., pattern: "{date}.csv", late_days: 2}' in text


def test_parquet_types_are_kept(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    moment = datetime(2024, 3, 4, 10, tzinfo=UTC)
    table = pa.table(
        {
            "small": pa.array([1, 2], pa.int16()),
            "large": pa.array([2**64 - 1, 0], pa.uint64()),
            "money": pa.array([Decimal("1.50"), None], pa.decimal128(12, 2)),
            "ratio": pa.array([0.1, 0.7], pa.float64()),
            "odd": pa.array([0.1, float("nan")], pa.float64()),
            "customer": pa.array([17850.0, None], pa.float64()),
            "member": pa.array([True, None], pa.bool_()),
            "born": pa.array([date(1990, 1, 1), None], pa.date32()),
            "wall": pa.array([moment.replace(tzinfo=None)] * 2, pa.timestamp("ns")),
            "clock": pa.array([moment.time(), None], pa.time64("us")),
            "said": pa.array(["04/03/2024 10:00", None]),
            "at": pa.array([moment, moment], pa.timestamp("us", "UTC")),
        }
    )
    path = tmp_path / f"{DAY}.parquet"
    pq.write_table(table, path)
    contract, _ = inferred(con, tmp_path, path)
    assert {column.name: column.sql_type for column in contract.columns} == {
        "small": "BIGINT",
        "large": "DECIMAL(20,0)",
        "money": "DECIMAL(12,2)",
        "ratio": "DOUBLE",
        "odd": "DOUBLE",
        "customer": "BIGINT",
        "member": "BOOLEAN",
        "born": "DATE",
        "wall": "TIMESTAMPTZ",
        "clock": "VARCHAR",
        "said": "TIMESTAMPTZ",
        "occurred_at": "TIMESTAMPTZ",
    }
    assert contract.column("occurred_at").sources == ("at",)
    assert refused(con, contract, path) == []


def test_json_values_are_read_as_they_are_written(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = tmp_path / f"{DAY}.jsonl"
    path.write_text(
        '{"at": "2024-03-04T10:00:00Z", "amount": 1.10, "big": 123456789012345678901, "tags": ["a",  "b"], "ok": true}\n'
        '{"at": "2024-03-04T11:00:00Z", "amount": 2, "big": 1, "ok": null}\n'
    )
    contract, _ = inferred(con, tmp_path, path)
    assert [column.sql_type for column in contract.columns] == [
        "TIMESTAMPTZ",
        "DECIMAL(10,2)",
        "VARCHAR",
        "VARCHAR",
        "BOOLEAN",
    ]
    assert not contract.column("tags").required
    assert refused(con, contract, path) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("2024-03-04.csv", b"", "the file is empty (0 bytes)"),
        ("2024-03-04.csv", b"a,at\n", "no file has a row"),
        ("2024-03-04.csv", b"a,a,at\n1,2,3\n", "the columns 'a' and 'a' have one name"),
        ("2024-03-04.csv", b"a,,at\n1,2,3\n", "a column has no name"),
        ("2024-03-04.csv", b"file,at\n1,2024-03-04 10:00\n", "the landing column 'file' has the name"),
        ("2024-03-04.csv", b"a,at\n1,2,3\n", "2024-03-04.csv:2: 3 fields, 2 expected"),
        ("2024-03-04.csv", b"a,at\n\xff\xfe,2\n", "the text isn't UTF-8"),
        ("2024-03-04.jsonl", b'{"a": 1}\n{"a": \n', "2024-03-04.jsonl:2: the line isn't JSON"),
        ("2024-03-04.jsonl", b"[1]\n", "the line holds '[1]'"),
        ("2024-03-04.parquet", b"PAR1", "the file can't be read"),
        ("2024-03-04.xlsx", b"PK", "the suffix says no format; expected one of .parquet"),
    ],
)
def test_files_that_cannot_be_read_are_named(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ContractError) as caught:
        infer(con, [path], name="visits")
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_files_of_different_columns_are_refused(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    first = land(tmp_path, of("amount", ["1"]), "2024-03-04.csv")
    second = land(tmp_path, of("amuont", ["1"]), "2024-03-05.csv")
    with pytest.raises(ContractError) as caught:
        infer(con, [first, second], name="visits")
    assert str(caught.value) == (
        f"{second}: another schema than 2024-03-04.csv: column 'amount' is gone; column 'amuont' is new; "
        "did you mean 'amount'?; give files of one schema"
    )
    third = land(tmp_path, of("amount", ["1"]), "2024-03-06.jsonl")
    with pytest.raises(ContractError, match=r"of two formats; a source has one"):
        infer(con, [first, third], name="visits")
    with pytest.raises(ContractError, match="there is no such file"):
        infer(con, [tmp_path / "none.csv"], name="visits")


@pytest.mark.parametrize(
    "value", ["yes", "1.0", "a: b", "x #y", "{a}", "'", '"', "", " a", "null", "é\n", "=", "-"]
)
def test_scalars_come_back_as_they_are(value: str) -> None:
    block = parse(Path("x"), f"key: {scalar(value)}\n".encode()).data
    assert block == {"key": value}
    flow = parse(Path("x"), f"key: [{scalar(value, flow=True)}]\n".encode()).data
    assert flow == {"key": [value]}


def test_lengths_are_rounded_up_with_room() -> None:
    assert [rounded_up(length) for length in (0, 8, 9, 35, 500, 1500)] == [10, 10, 10, 50, 1000, 2000]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=8)
VALUES: list[st.SearchStrategy[str]] = [
    TEXTS,
    st.sampled_from(["web", "shop", "Shop", " "]),
    st.integers(-(10**20), 10**20).map(str),
    st.integers(-50, 50).map(lambda number: f"{number}.0"),
    st.decimals(-1000, 1000, places=3).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-10, 10).map(str) | st.sampled_from(["nan", "N/A", "-"]),
    st.decimals(-1000, 1000, places=2).map(lambda number: str(number).replace(".", ",")),
    st.booleans().map(str),
    st.dates(date(1999, 1, 1), date(2030, 1, 1)).map(str),
    st.dates(date(1999, 1, 1), date(2030, 1, 1)).map(lambda day: day.strftime("%d/%m/%Y")),
    st.datetimes(datetime(1999, 1, 1), datetime(2030, 1, 1)).map(str),
    st.datetimes(datetime(1999, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.strftime("%m/%d/%Y %H:%M")),
]


@st.composite
def frames(draw: st.DrawFn) -> list[dict[str, str]]:
    """Small frames of a time and columns of one kind each, some values empty."""
    rows = draw(st.integers(1, 45))
    columns = {}
    for at, values in enumerate(draw(st.lists(st.sampled_from(VALUES), min_size=1, max_size=5))):
        cells = values if draw(st.booleans()) else st.just("") | values
        kinds = draw(st.integers(1, rows))
        few = draw(st.lists(cells, min_size=kinds, max_size=kinds))
        columns[f"c {at}{draw(st.sampled_from(['', '_id', 'Date']))}"] = [few[n % kinds] for n in range(rows)]
    minutes = draw(st.lists(st.integers(0, 59), min_size=rows, max_size=rows))
    return [
        {"at": TIMES[minutes[n]], **{name: cells[n] for name, cells in columns.items()}} for n in range(rows)
    ]


@examples(30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rows=frames(), suffix=st.sampled_from([".csv", ".jsonl", ".parquet"]))
def test_an_inferred_contract_refuses_no_row_of_its_files(rows: list[dict[str, str]], suffix: str) -> None:
    if suffix != ".csv":
        rows = [{name: value or None for name, value in row.items()} for row in rows]  # type: ignore[misc]
    with TemporaryDirectory() as folder, duckdb.connect(":memory:") as con:
        con.execute("SET TimeZone = 'UTC'")
        path = land(Path(folder), rows, f"{DAY}{suffix}")
        if suffix == ".parquet" and any("NULL" in str(kind).upper() for kind in pq.read_schema(path).types):
            return
        contract, text = inferred(con, Path(folder), path)
        assert refused(con, contract, path) == [], text


FLOATS = st.floats() | st.integers(-5, 5).map(float)


@examples(12)
@given(
    floats=st.lists(st.none() | FLOATS, min_size=1, max_size=20),
    integers=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20),
)
def test_an_inferred_contract_refuses_no_row_of_typed_files(
    floats: list[float | None], integers: list[int | None]
) -> None:
    rows = max(len(floats), len(integers))
    table = pa.table(
        {
            "x": pa.array([*floats, *[None] * (rows - len(floats))], pa.float64()),
            "y_id": pa.array([*integers, *[None] * (rows - len(integers))], pa.int64()),
            "at": pa.array([datetime(2024, 3, 4, 10, tzinfo=UTC)] * rows, pa.timestamp("us", "UTC")),
        }
    )
    with TemporaryDirectory() as folder, duckdb.connect(":memory:") as con:
        con.execute("SET TimeZone = 'UTC'")
        path = Path(folder) / f"{DAY}.parquet"
        pq.write_table(table, path)
        contract, text = inferred(con, Path(folder), path)
        assert refused(con, contract, path) == [], text


@pytest.mark.parametrize(
    ("rows", "row", "said"),
    [(3_000, 400, "may hold 1,000,000 bytes"), (2, 30_000, "is longer than 10,000 bytes")],
    ids=["a packed bomb", "a long row"],
)
@pytest.mark.parametrize("suffix", ["csv.gz", "jsonl.gz"])
def test_a_file_beyond_the_limits_of_landing_is_refused_before_it_is_read(
    con: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    rows: int,
    row: int,
    said: str,
) -> None:
    monkeypatch.setattr(sample, "DEFAULT", FileLimits(unpacked="1MB", row="10kB"))
    head, line = ("a,b\n", "1,{}\n") if suffix == "csv.gz" else ("", '{{"a": 1, "b": "{}"}}\n')
    path = tmp_path / f"{DAY}.{suffix}"
    path.write_bytes(gzip.compress((head + rows * line.format("x" * row)).encode()))
    with pytest.raises(ContractError, match=said):
        infer(con, [path], name="bomb")
