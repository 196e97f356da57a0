import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from ml_assets.contracts import Contract, ContractError
from ml_assets.contracts.compile import sql_types
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.classify import classify
from ml_assets.contracts.enforce.validate import validate
from ml_assets.lake import engine
from ml_assets_tests.contracts.conftest import DAY, GOOD, classified, landed
from ml_assets_tests.profiles import examples


def test_a_good_row_is_typed_and_accepted(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    [row] = classified(contract, con, [{}])
    assert row["reasons"] == []
    assert row["original"] is None
    assert (row["basket_id"], row["quantity"], row["amount"]) == (1, 2, Decimal("3.00"))
    assert (row["day"], row["gift"], row["unit_price"]) == (date(2017, 1, 5), True, Decimal("1.50"))
    assert row["occurred_at"] == datetime(2017, 1, 5, 10, tzinfo=UTC)
    assert row["event_date"] == row["landing_date"] == date(2017, 1, 5)
    assert row["available_at"] == datetime(2017, 1, 7, 10, tzinfo=UTC)


BAD_VALUES = [
    ("quantity", "abc", ["quantity_type: quantity is 'abc', an integer (INTEGER) expected"]),
    ("quantity", "3.7", ["quantity_type: quantity is '3.7', an integer (INTEGER) expected"]),
    ("quantity", "1_000", ["quantity_type"]),
    ("quantity", "9999999999", ["quantity_type"]),
    ("quantity", "-1", ["quantity_minimum: quantity is -1, at least 0 expected"]),
    ("quantity", "1000", ["quantity_exclusive_maximum: quantity is 1000, less than 1000 expected"]),
    ("amount", "-3.00", ["amount_minimum: amount is -3.00, at least 0 expected"]),
    (
        "amount",
        "2.555",
        ["amount_type: amount is '2.555', a number with at most 2 decimals (DECIMAL(10,2)) expected"],
    ),
    ("amount", "1e3", ["amount_type"]),
    ("amount", None, ["amount_required: amount is empty, a value expected"]),
    ("amount", "  ", ["amount_required"]),
    ("weight", "nan", ["weight_type"]),
    ("weight", "1e999", ["weight_type"]),
    ("weight", "0", ["weight_exclusive_minimum: weight is 0.0, more than 0 expected"]),
    ("weight", "100.1", ["weight_maximum"]),
    ("day", "2017-01-05", ["day_type: day is '2017-01-05', a date as dd/MM/yyyy expected"]),
    ("day", "31/12/2016", ["day_minimum: day is 2016-12-31, at least 2017-01-01 expected"]),
    ("gift", "perhaps", ["gift_type: gift is 'perhaps', true or false expected"]),
    ("code", "A", ["code_min_length: code has a length that is 1, at least 2 characters expected"]),
    ("code", "ABCDE", ["code_max_length"]),
    ("code", "abc", ["code_pattern: code is 'abc', a match of the pattern ^[A-Z]+$ expected"]),
    ("brand", "Own", ["brand_valid_values: brand is 'Own', one of National, Private expected"]),
    ("shop", None, ["shop_required"]),
    ("occurred_at", "soon", ["occurred_at_type: occurred_at is 'soon', a time as"]),
    ("occurred_at", "epoch", ["occurred_at_type"]),
    ("occurred_at", "2017-01-06 10:00:00+99:00", ["occurred_at_type"]),
    ("occurred_at", "2017-01-06 10:00:00+01:75", ["occurred_at_type"]),
    ("occurred_at", "infinity", ["occurred_at_type"]),
    ("occurred_at", None, ["occurred_at_required"]),
    ("occurred_at", "2017-01-06 00:00:00", ["event_date_in_window"]),
]


@pytest.mark.parametrize(("column", "value", "reasons"), BAD_VALUES)
def test_a_bad_value_is_refused_with_its_reason(
    contract: Contract, con: duckdb.DuckDBPyConnection, column: str, value: str | None, reasons: list[str]
) -> None:
    row, good = classified(contract, con, [{column: value}, {}])
    own = [reason for reason in row["reasons"] if not reason.startswith("unit_price")]
    assert len(own) == len(reasons), row["reasons"]
    for found, wanted in zip(own, reasons, strict=True):
        assert found.startswith(wanted)
    assert json.loads(row["original"]).get(column) == value
    assert good["reasons"] == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("quantity", " +2 "),
        ("amount", "3.1000"),
        ("amount", ".5"),
        ("weight", "1e-1"),
        ("weight", None),
        ("day", " "),
        ("brand", None),
        ("code", None),
        ("note", None),
        ("ticket", None),
    ],
)
def test_a_fair_value_is_accepted(
    contract: Contract, con: duckdb.DuckDBPyConnection, column: str, value: str | None
) -> None:
    [row] = classified(contract, con, [{column: value}])
    assert row["reasons"] == []


def test_all_reasons_are_named(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    [row] = classified(contract, con, [{"amount": "-3.00", "brand": "Own", "quantity": "many"}])
    assert [reason.partition(":")[0] for reason in row["reasons"]] == [
        "quantity_type",
        "unit_price_type",
        "amount_minimum",
        "brand_valid_values",
    ]


def test_a_transform_that_fails_differs_from_one_that_gives_nothing(
    contract: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    nothing, failed = classified(contract, con, [{"quantity": "0"}, {"quantity": "x"}])
    assert (nothing["reasons"], nothing["unit_price"]) == ([], None)
    assert (
        "unit_price_type: unit_price can't be worked out from amount '3.00', quantity 'x', "
        "a number with at most 2 decimals (DECIMAL(10,2)) expected"
    ) in failed["reasons"]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2017-07-05 10:00:00", datetime(2017, 7, 5, 9, tzinfo=UTC)),
        ("2017-07-05T10:00", datetime(2017, 7, 5, 9, tzinfo=UTC)),
        ("2017-07-05 10:00:00Z", datetime(2017, 7, 5, 10, tzinfo=UTC)),
        ("2017-07-05 10:00:00+02", datetime(2017, 7, 5, 8, tzinfo=UTC)),
        ("2017-07-05 10:00:00.25-05:30", datetime(2017, 7, 5, 15, 30, 0, 250000, tzinfo=UTC)),
    ],
)
def test_wall_clock_times_are_the_zones_and_offsets_count(
    contract: Contract, con: duckdb.DuckDBPyConnection, text: str, utc: datetime
) -> None:
    [row] = classified(contract, con, [{"occurred_at": text}], landing_date="2017-07-05")
    assert row["occurred_at"] == utc
    assert row["reasons"] == []


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("05.07.2017 10:00 +02:00", "2017-07-05 08:00:00+00"),
        ("05.07.2017 10:00 +99:00", None),
        ("05.07.2017 10:00 +01:75", None),
        ("05.07.2017 10:00", None),
    ],
)
def test_an_offset_in_a_format_is_one_that_clocks_have(
    con: duckdb.DuckDBPyConnection, text: str, read: str | None
) -> None:
    value = sql_types.from_text("TIMESTAMPTZ", "text", time_format="dd.MM.yyyy HH:mm XXX")
    assert con.execute(f"SELECT CAST({value} AS VARCHAR) FROM (SELECT ? AS text)", [text]).fetchone() == (
        read,
    )


def test_late_events_are_accepted_within_late_days(
    contract: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    rows = [{"occurred_at": f"2017-01-0{day} 12:00:00"} for day in (2, 3, 5, 6)]
    refused = [bool(row["reasons"]) for row in classified(contract, con, rows, late_days=2)]
    assert refused == [True, False, False, True]
    [early] = classified(contract, con, rows[:1], late_days=2)
    assert early["reasons"] == [
        "event_date_in_window: occurred_at is 2017-01-02 12:00:00+00, "
        "a day from 2017-01-03 to 2017-01-05 expected (UTC)"
    ]
    with pytest.raises(ValueError, match="late_days is -1"):
        classify(contract, con, landed(con, []), late_days=-1)


def test_a_row_counts_for_the_day_it_happened_or_else_for_the_day_it_landed(
    contract: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    times = ["2017-01-04 23:30:00", "2017-01-03 12:00:00", "2017-01-06 00:00:00", "soon", None]
    result = classified(contract, con, [{"occurred_at": time} for time in times], late_days=1)
    assert [(row["event_date"].day, bool(row["reasons"])) for row in result] == [
        (4, False),
        (5, True),
        (5, True),
        (5, True),
        (5, True),
    ]
    [refused] = classified(contract, con, [{"occurred_at": times[0], "amount": "-1"}], late_days=1)
    assert refused["event_date"] == date(2017, 1, 4)


def test_nothing_happens_after_it_was_seen(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    seen = datetime(2017, 1, 5, 9, 55, tzinfo=UTC)
    just, ahead = classified(
        contract, con, [{"seen_at": seen}, {"seen_at": seen, "occurred_at": "2017-01-05 10:00:01"}]
    )
    assert just["reasons"] == []
    [reason] = ahead["reasons"]
    assert reason.startswith("occurred_before_seen: ")
    assert "2017-01-05 10:00:01" in reason
    assert "2017-01-05 09:55:00" in reason


def test_a_late_event_was_not_known_before_its_file(
    contract: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    times = ["2017-01-01 12:00:00", "2017-01-03 00:00:00", "2017-01-03 00:00:01", "2017-01-05 00:00:00"]
    rows = classified(contract, con, [{"occurred_at": time} for time in times], late_days=9)
    end_of_the_landing_day = datetime(2017, 1, 6, tzinfo=UTC)
    assert [row["available_at"] for row in rows] == [
        end_of_the_landing_day,
        end_of_the_landing_day,
        datetime(2017, 1, 5, 0, 0, 1, tzinfo=UTC),
        datetime(2017, 1, 7, tzinfo=UTC),
    ]


def test_the_first_of_repeated_rows_is_kept(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    same: dict[str, Any] = {"Basket": "1"}
    rows = [same | {"landing_date": "2017-01-06"}, same, same, {"Basket": "1", "shop": "south"}]
    result = classified(contract, con, rows, late_days=5)
    assert [bool(row["reasons"]) for row in result] == [False, True, False, True]
    assert result[1]["reasons"] == [
        "unique_shop_basket_id: an earlier row has the same shop, basket_id: north, 1"
    ]


def test_rows_of_two_days_do_not_repeat_each_other(
    contract: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    rows = [{"Basket": "1", "occurred_at": f"2017-01-0{day} 12:00:00"} for day in (4, 5, 4)]
    result = classified(contract, con, rows, late_days=1)
    assert [bool(row["reasons"]) for row in result] == [False, False, True]


def test_a_refused_row_makes_no_other_a_repeat(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    bad, good = classified(contract, con, [{"Basket": "1", "amount": "-1"}, {"Basket": "1"}])
    assert [reason.partition(":")[0] for reason in bad["reasons"]] == ["amount_minimum"]
    assert good["reasons"] == []


def test_a_row_refused_by_one_uniqueness_rule_does_not_count_for_the_next(
    contract: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    rows = [{"Basket": "1", "ticket": "1"}, {"Basket": "1", "ticket": "2"}, {"Basket": "2", "ticket": "2"}]
    result = classified(contract, con, rows)
    assert [[reason.partition(":")[0] for reason in row["reasons"]] for row in result] == [
        [],
        ["unique_shop_basket_id"],
        [],
    ]


def test_empty_values_do_not_repeat_each_other(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    result = classified(contract, con, [{"ticket": None}, {"ticket": None}, {"ticket": "4"}, {"ticket": "4"}])
    assert [len(row["reasons"]) for row in result] == [0, 0, 0, 1]


def test_typed_rows_give_what_text_rows_give(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    rows: list[dict[str, Any]] = [{}, {"amount": "-1"}, {"quantity": None}, {"Basket": "1"}]
    from_text = classified(contract, con, rows)
    casts = ", ".join(
        f'CAST({_naive(name)} AS {kind}) AS "{name}"'
        for name, kind in contract.raw_schema(typed=True).items()
    )
    typed = con.sql(f"SELECT {casts}, landing_date, file, content_hash, row_number, seen_at FROM landed")
    relation = classify(contract, con, typed).order("row_number")
    columns = [name for name in relation.columns if name != "original"]
    from_types = relation.project(", ".join(f'"{name}"' for name in columns)).fetchall()
    assert from_types == [tuple(row[name] for name in columns) for row in from_text]


def _naive(name: str) -> str:
    if name == "day":
        return "strptime(day, '%d/%m/%Y')"
    return f'"{name}"'


def test_no_rows_are_no_problem(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    relation = classify(contract, con, landed(con, []))
    assert relation.fetchall() == []
    assert relation.columns[-2:] == ["original", "reasons"]
    assert str(relation.types[-1]) == "VARCHAR[]"


def test_a_missing_landing_column_is_named(contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    for name in ("brand", "seen_at"):
        rows = landed(con, [{}]).project(f"* EXCLUDE ({name})")
        with pytest.raises(ContractError, match=f"no column '{name}'"):
            classify(contract, con, rows)


def test_a_declared_available_at_is_taken_but_not_before_the_file(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(
        "apiVersion: v3.2.0\nkind: DataContract\nid: calls\nversion: 1.0.0\nschema:\n  - name: calls\n"
        "    properties:\n"
        "      - {name: occurred_at, logicalType: timestamp, required: true}\n"
        "      - {name: available_at, logicalType: timestamp, required: true}\n"
    )
    contract = load_contract(path)
    rows = con.sql(
        "SELECT '2017-01-04 10:00' AS occurred_at, known AS available_at, DATE '2017-01-05' AS landing_date, "
        "'f' AS file, 'h' AS content_hash, 1::BIGINT AS row_number, TIMESTAMPTZ '2017-01-08 00:00+00' AS seen_at "
        "FROM (VALUES ('2017-01-04 11:00'), ('2017-01-07 12:00')) AS v(known)"
    )
    result = classify(contract, con, rows, late_days=1)
    assert result.columns.count("available_at") == 1
    found = result.project("available_at, reasons").order("available_at").fetchall()
    assert found == [(datetime(2017, 1, 6, tzinfo=UTC), []), (datetime(2017, 1, 7, 12, tzinfo=UTC), [])]


texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=6)
odd = ["", " ", "1'; --", "0x1f", "1e5", "NaN", "-inf", "2017-02-30", "true", "٣", DAY]
cells = st.one_of(st.none(), texts, st.integers().map(str), st.decimals().map(str), st.sampled_from(odd))


@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_text_is_accepted_within_the_rules_or_refused_with_reasons(
    contract: Contract, con: duckdb.DuckDBPyConnection, data: st.DataObject
) -> None:
    """No text breaks the query, no row gets lost, and every accepted row keeps every rule."""
    rows = data.draw(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, cells)), max_size=4))
    relation = classify(contract, con, landed(con, rows))
    relation.create_view("judged", replace=True)
    assert len(relation) == len(rows)
    accepted = con.sql("SELECT * FROM judged WHERE len(reasons) = 0")
    refused = con.sql("SELECT * FROM judged WHERE len(reasons) > 0")
    results = validate(contract, con, accepted, refused, [])
    assert all(result.passed for result in results if result.rule.severity == "error")
    known = {rule.name for rule in contract.row_rules}
    for (reasons,) in refused.project("reasons").fetchall():
        assert {reason.partition(":")[0] for reason in reasons} <= known
        assert all(reason is not None for reason in reasons)


def test_transforms_that_share_a_failing_part_do_not_fail_the_query(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """DuckDB computes what two expressions share outside of their TRY, where an error ends the query."""
    path = tmp_path / "contract.yaml"
    logic = "CAST(n AS INTEGER) * CAST(n AS INTEGER)"
    path.write_text(
        "apiVersion: v3.2.0\nkind: DataContract\nid: calls\nversion: 1.0.0\nschema:\n  - name: calls\n"
        "    properties:\n"
        "      - {name: occurred_at, logicalType: timestamp, required: true}\n"
        f"      - {{name: square, logicalType: integer, transformLogic: {logic}}}\n"
        f"      - {{name: again, logicalType: integer, transformLogic: {logic}}}\n"
        f"      - {{name: rough, logicalType: number, physicalType: DOUBLE, transformLogic: 1.5 * {logic}}}\n"
    )
    contract = load_contract(path)
    rows = con.sql(
        "SELECT '2017-01-05 10:00' AS occurred_at, n, DATE '2017-01-05' AS landing_date, 'f' AS file, "
        "'h' AS content_hash, row_number() OVER () AS row_number, TIMESTAMPTZ '2017-01-06 00:00+00' AS seen_at "
        "FROM (VALUES ('3'), ('x'), ('99999')) AS v(n)"
    )
    result = classify(contract, con, rows).order("row_number").project("square, again, rough, len(reasons)")
    assert result.fetchall() == [(9, 9, 13.5, 0), (None, None, None, 3), (None, None, 14999700001.5, 2)]


CALLS = """
apiVersion: v3.2.0
kind: DataContract
id: calls
version: 1.0.0
schema:
  - name: calls
    properties:
      - {name: line, logicalType: integer, primaryKey: true}
      - {name: caller, logicalType: integer, unique: true}
      - {name: seconds, logicalType: integer, required: true, logicalTypeOptions: {minimum: 0}}
      - {name: occurred_at, logicalType: timestamp, required: true}
"""
FIRST, DAYS = date(2017, 1, 5), 5
few = st.sampled_from(["1", "2", "3"])
calls = st.fixed_dictionaries(
    {
        "landed": st.integers(0, DAYS - 1),
        "before": st.sampled_from([0, 0, 1, 1, 2, 3, 4, -1, None]),
        "line": few,
        "caller": st.one_of(st.none(), few),
        "seconds": st.sampled_from(["5", "5", "5", "-1", "x"]),
    }
)


@pytest.fixture(scope="module")
def calls_contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    path = tmp_path_factory.mktemp("calls") / "contract.yaml"
    path.write_text(CALLS)
    return load_contract(path)


def land_calls(con: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> None:
    """The table ``landed``: one file a day, its rows in the order given."""
    con.execute(
        "CREATE OR REPLACE TABLE landed (line VARCHAR, caller VARCHAR, seconds VARCHAR, occurred_at VARCHAR, "
        "landing_date DATE, file VARCHAR, content_hash VARCHAR, row_number BIGINT, seen_at TIMESTAMPTZ)"
    )
    for number, row in enumerate(rows):
        day = FIRST + timedelta(days=row["landed"])
        time = "soon" if row["before"] is None else f"{day - timedelta(days=row['before'])} 12:00:00"
        con.execute(
            "INSERT INTO landed VALUES (?, ?, ?, ?, ?, ?, 'hash', ?, ?)",
            [
                row["line"],
                row["caller"],
                row["seconds"],
                time,
                day,
                f"{day}.csv",
                number,
                "2017-02-01 00:00+00",
            ],
        )


def judged(
    contract: Contract, con: duckdb.DuckDBPyConnection, between: tuple[date, date], late_days: int
) -> list[tuple[Any, ...]]:
    """The accepted and refused rows of some days, from the files that can hold rows of them."""
    last = between[1] + timedelta(days=late_days)
    rows = con.sql(f"SELECT * FROM landed WHERE landing_date BETWEEN DATE '{between[0]}' AND DATE '{last}'")
    days = f"event_date BETWEEN DATE '{between[0]}' AND DATE '{between[1]}'"
    return classify(contract, con, rows, late_days=late_days).filter(days).fetchall()


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(calls, max_size=25),
    late_days=st.integers(0, 3),
    cuts=st.sets(st.integers(1, DAYS + 2)),
    order=st.randoms(use_true_random=False),
)
def test_any_chunking_of_the_days_gives_what_one_pass_gives(
    calls_contract: Contract,
    con: duckdb.DuckDBPyConnection,
    rows: list[dict[str, Any]],
    late_days: int,
    cuts: set[int],
    order: Any,
) -> None:
    """Days from the earliest an event can have to the last that landed, in chunks, in any order."""
    land_calls(con, rows)
    whole = classify(calls_contract, con, con.table("landed"), late_days=late_days).fetchall()
    days = [FIRST + timedelta(days=n) for n in range(-late_days, DAYS)]
    edges = sorted({0, len(days), *(cut for cut in cuts if cut < len(days))})
    chunks = [(days[start], days[end - 1]) for start, end in pairwise(edges)]
    order.shuffle(chunks)
    found = [row for chunk in chunks for row in judged(calls_contract, con, chunk, late_days)]
    assert len(whole) == len(rows)
    assert sorted(found, key=repr) == sorted(whole, key=repr)


@pytest.mark.parametrize(
    ("written", "earlier", "later"),
    [
        ("2017-10-29 01:30:00", "2017-10-29 00:30", "2017-10-29 01:30"),
        ("2017-03-26 01:30:00", "2017-03-26 01:30", "2017-03-26 00:30"),
    ],
    ids=["shown twice", "never shown"],
)
def test_a_local_time_that_clocks_show_twice_or_never_is_read_as_declared(
    con: duckdb.DuckDBPyConnection, written: str, earlier: str, later: str
) -> None:
    read = {}
    for rule in get_args(sql_types.Ambiguous):
        moment = sql_types.from_text("TIMESTAMPTZ", f"'{written}'", timezone="Europe/London", ambiguous=rule)
        read[rule] = con.execute(f"SELECT strftime({moment}, '%Y-%m-%d %H:%M')").fetchone()
    assert read == {"earlier": (earlier,), "later": (later,), "refuse": (None,)}


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2037, 12, 1)),
    st.sampled_from(
        ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"]
    ),
)
@examples(1000)
def test_every_local_time_is_the_moment_that_pythons_zones_give(local: datetime, zone: str) -> None:
    folds = [local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC) for fold in (0, 1)]
    wanted = {"earlier": folds[0], "later": folds[1], "refuse": folds[0] if folds[0] == folds[1] else None}
    with engine.scratch() as con:
        for rule, moment in wanted.items():
            sql = sql_types.of_local(f"TIMESTAMP '{local}'", zone, rule)  # type: ignore[arg-type]
            assert con.execute(f"SELECT {sql}").fetchone() == (moment,)


def test_a_local_time_that_occurs_twice_is_quarantined_in_words(
    contract: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    day = {"landing_date": "2017-10-29", "day": "29/10/2017"}
    twice, once = classified(
        contract,
        con,
        [day | {"occurred_at": "2017-10-29 01:30:00"}, day | {"occurred_at": "2017-10-29 01:30:00+01"}],
    )
    assert twice["reasons"] == [
        "occurred_at_type: occurred_at is '2017-10-29 01:30:00', which clocks in Europe/London show twice or never; "
        "its offset, or the custom property 'ambiguous' (earlier or later) in the contract expected"
    ]
    assert once["reasons"] == []


def test_a_year_of_two_digits_is_not_a_year_of_the_first_century(con: duckdb.DuckDBPyConnection) -> None:
    read = {
        written: con.execute(
            f"SELECT {sql_types.from_text('DATE', repr(written), time_format=how)}"
        ).fetchone()
        for written, how in (
            ("01/02/17", "dd/MM/yyyy"),
            ("01/02/2017", "dd/MM/yyyy"),
            ("1/02/17", "dd/MM/yy"),
        )
    }
    assert read == {"01/02/17": (None,), "01/02/2017": (date(2017, 2, 1),), "1/02/17": (date(2017, 2, 1),)}
