import hashlib
import hmac
import json
from datetime import date
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from ml_assets.contracts import Contract, ContractError
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.classify import classify
from ml_assets.contracts.enforce.pseudonym import (
    PseudonymError,
    fingerprint,
    hand_over,
    key_from_environment,
    pseudonym,
)
from ml_assets_tests.profiles import examples

KEY = b"a key for tests only"
NAME = "ML_ASSETS_PSEUDONYM_KEY"
PATIENTS = """
apiVersion: v3.2.0
kind: DataContract
id: visits
version: 1.0.0
schema:
  - name: visits
    properties:
      - {name: visit_id, logicalType: integer, primaryKey: true, classification: personal}
      - {name: patient_id, logicalType: integer, required: true, classification: personal}
      - {name: born, physicalName: Birth, logicalType: date, classification: personal,
         logicalTypeOptions: {format: dd/MM/yyyy, minimum: "1900-01-01"}}
      - {name: paid, logicalType: number, physicalType: "DECIMAL(10,2)", classification: personal}
      - {name: pressure, logicalType: number, physicalType: DOUBLE, classification: personal,
         logicalTypeOptions: {minimum: 0}}
      - {name: email, logicalType: string, classification: personal,
         logicalTypeOptions: {pattern: "^[^@ ]+@[^@ ]+$", maxLength: 40}}
      - {name: provider, logicalType: string, classification: personal,
         transformLogic: "split_part(email, '@', 2)"}
      - {name: full_name, logicalType: string, classification: personal,
         transformLogic: "first || ' ' || family"}
      - {name: sex, logicalType: string, classification: personal, enum: [{value: woman}, {value: man}]}
      - {name: year, logicalType: integer, physicalType: SMALLINT, classification: personal,
         transformLogic: "CAST(split_part(\\"when\\", '-', 1) AS SMALLINT)"}
      - {name: clinic, logicalType: string, required: true, enum: [{value: north}, {value: south}]}
      - {name: occurred_at, logicalType: timestamp, required: true}
    quality:
      - {metric: duplicateValues, arguments: {properties: [email, born]}, mustBe: 0}
"""
PATIENT: dict[str, str | None] = {
    "visit_id": "771000001",
    "patient_id": "880000042",
    "Birth": "03/02/1971",
    "paid": "12345.60",
    "pressure": "121.75",
    "email": "ana.rojas@zqmail.example",
    "first": "Analucia",
    "family": "Rojasdeluna",
    "sex": "woman",
    "when": "1987-xx",
    "clinic": "north",
    "occurred_at": "2017-01-05 10:00:00",
}
OWN = ("clinic", "occurred_at")


def hidden(value: str) -> str:
    return hmac.new(KEY, value.encode(), hashlib.sha256).hexdigest()


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    path = tmp_path_factory.mktemp("patients") / "contract.yaml"
    path.write_text(PATIENTS)
    return load_contract(path)


def rows_of(con: duckdb.DuckDBPyConnection, rows: list[dict[str, str | None]]) -> duckdb.DuckDBPyRelation:
    fields = ", ".join(f'"{name}" VARCHAR' for name in PATIENT)
    con.execute(
        f"CREATE OR REPLACE TABLE visits ({fields}, landing_date DATE, file VARCHAR, content_hash VARCHAR, "
        "row_number BIGINT, seen_at TIMESTAMPTZ)"
    )
    for number, row in enumerate(rows, start=1):
        marks = ", ".join("?" for _ in PATIENT)
        con.execute(
            f"INSERT INTO visits VALUES ({marks}, '2017-01-05', 'f.csv', 'h', ?, '2017-01-06 00:00:00+00')",
            [*(PATIENT | row).values(), number],
        )
    return con.table("visits")


def judged(
    contract: Contract, con: duckdb.DuckDBPyConnection, rows: list[dict[str, str | None]]
) -> list[dict[str, Any]]:
    relation = classify(contract, con, rows_of(con, rows), key=KEY)
    names = relation.columns
    return [dict(zip(names, row, strict=True)) for row in relation.order("row_number").fetchall()]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=90)


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.binary(min_size=1, max_size=150), value=texts)
def test_a_pseudonym_is_the_hmac_of_the_text(con: duckdb.DuckDBPyConnection, key: bytes, value: str) -> None:
    expression = pseudonym("value", hand_over(con, key))
    [found] = con.execute(f"SELECT {expression} FROM (SELECT ? AS value)", [value]).fetchall()
    assert found == (hmac.new(key, value.encode(), hashlib.sha256).hexdigest(),)


@pytest.mark.parametrize("length", [63, 64, 65, 200])
def test_keys_around_the_block_size_of_sha256(con: duckdb.DuckDBPyConnection, length: int) -> None:
    key = bytes(range(256))[:length]
    expression = pseudonym("'ana'", hand_over(con, key))
    found = con.execute(f"SELECT {expression}").fetchall()
    assert found == [(hmac.new(key, b"ana", hashlib.sha256).hexdigest(),)]


def test_nothing_stays_nothing(con: duckdb.DuckDBPyConnection) -> None:
    expression = pseudonym("CAST(NULL AS VARCHAR)", hand_over(con, KEY))
    assert con.execute(f"SELECT {expression}").fetchall() == [(None,)]


def test_a_connection_without_the_key_loses_no_value(con: duckdb.DuckDBPyConnection) -> None:
    expression = pseudonym("'ana'", hand_over(con, KEY))
    with duckdb.connect(":memory:") as other, pytest.raises(duckdb.Error, match="has no key for personal"):
        other.execute(f"SELECT {expression}").fetchall()


def test_typed_values_are_kept_as_the_hmac_of_their_text(
    patients: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    [row] = judged(patients, con, [{"patient_id": " +0880000042 ", "paid": "12345.6"}])
    assert row["reasons"] == []
    assert row["original"] is None
    assert {name: row[name] for name in patients.personal} == {
        "visit_id": hidden("771000001"),
        "patient_id": hidden("880000042"),
        "born": hidden("1971-02-03"),
        "paid": hidden("12345.60"),
        "pressure": hidden("121.75"),
        "email": hidden("ana.rojas@zqmail.example"),
        "provider": hidden("zqmail.example"),
        "full_name": hidden("Analucia Rojasdeluna"),
        "sex": hidden("woman"),
        "year": hidden("1987"),
    }
    assert (row["clinic"], row["event_date"]) == ("north", date(2017, 1, 5))


def test_stored_types_are_what_the_contract_says(patients: Contract, con: duckdb.DuckDBPyConnection) -> None:
    relation = classify(patients, con, rows_of(con, []), key=KEY)
    found = dict(zip(relation.columns, map(str, relation.types), strict=True))
    wanted = {
        c.name: c.stored_type.replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE") for c in patients.columns
    }
    assert {name: found[name] for name in wanted} == wanted


def test_empty_values_stay_empty(patients: Contract, con: duckdb.DuckDBPyConnection) -> None:
    [row] = judged(patients, con, [{"email": None, "paid": None, "pressure": "", "family": None}])
    assert row["reasons"] == []
    assert [row[name] for name in ("email", "provider", "paid", "pressure", "full_name")] == [None] * 5


def test_the_original_of_a_refused_row_has_pseudonyms(
    patients: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    [row] = judged(patients, con, [{"clinic": "east", "paid": "much", "Birth": None, "pressure": " 1.50 "}])
    assert json.loads(row["original"]) == {
        "visit_id": hidden("771000001"),
        "patient_id": hidden("880000042"),
        "Birth": None,
        "paid": hidden("much"),
        "pressure": hidden("1.5"),
        "email": hidden("ana.rojas@zqmail.example"),
        "first": hidden("Analucia"),
        "family": hidden("Rojasdeluna"),
        "sex": hidden("woman"),
        "when": hidden("1987"),
        "clinic": "east",
        "occurred_at": "2017-01-05 10:00:00",
    }
    assert row["paid"] is None


def test_rules_are_judged_on_the_plain_value(patients: Contract, con: duckdb.DuckDBPyConnection) -> None:
    rows: list[dict[str, str | None]] = [
        {"Birth": "31/12/1899", "visit_id": "1"},
        {"sex": "unsaid", "visit_id": "2"},
        {"email": "ana at home", "visit_id": "3"},
        {"visit_id": "4"},
        {"visit_id": " 4", "email": "other@example.org"},
        {"visit_id": "5"},
        {"visit_id": "6", "when": "late-01", "email": "third@example.org"},
        {"visit_id": "7", "patient_id": None, "email": "fourth@example.org"},
    ]
    found = [[reason.partition(":")[0] for reason in row["reasons"]] for row in judged(patients, con, rows)]
    assert found == [
        ["born_minimum"],
        ["sex_valid_values"],
        ["email_pattern"],
        [],
        ["unique_visit_id"],
        ["unique_email_born"],
        ["year_type"],
        ["patient_id_required"],
    ]


SECRETS: dict[str, list[str | None]] = {
    "visit_id": ["771000001", "771000002", "visit-771", " "],
    "patient_id": ["880000042", "8.80000042", "patient-88", None],
    "Birth": ["03/02/1971", "1971-02-03", "31/12/1899", None],
    "paid": ["12345.60", "12345.678", "paid-12345", None],
    "pressure": ["121.75", "-121.75", "1e999", "121,75"],
    "email": ["ana.rojas@zqmail.example", "ana.rojas", "ana.rojas@" + "zqmail" * 20, ""],
    "first": ["Analucia", None],
    "family": ["Rojasdeluna", " "],
    "sex": ["woman", "sex-unsaid", None],
    "when": ["1987-xx", "when-1987", None],
    "clinic": ["north", "east", None],
    "occurred_at": ["2017-01-05 10:00:00", "2017-01-05 23:00:00", "2017-01-09 10:00:00", "soon", None],
}
TRACES = (
    *(
        "771",
        "88000",
        "80000042",
        "1971",
        "1899",
        "12345",
        "121.75",
        "121,75",
        "1e999",
        "ana",
        "rojas",
        "zqmail",
    ),
    *("visit-", "patient-", "paid-", "unsaid", "1987", "when-"),
)


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.fixed_dictionaries({name: st.sampled_from(values) for name, values in SECRETS.items()}), max_size=8
    )
)
def test_no_plain_value_of_a_personal_column_leaves(
    patients: Contract, con: duckdb.DuckDBPyConnection, rows: list[dict[str, str | None]]
) -> None:
    """Whatever is accepted or refused, for whatever reason, what comes out holds hashes only."""
    for row in judged(patients, con, rows):
        shown = {name: str(row[name]) for name in row if name not in patients.personal and name != "original"}
        for name, value in shown.items():
            assert [trace for trace in TRACES if trace in value.lower()] == [], (name, value)
        original = json.loads(row["original"] or "{}")
        hashes = [row[name] for name in patients.personal]
        hashes += [value for name, value in original.items() if name not in OWN]
        assert all(value is None or (len(value) == 64 and int(value, 16) >= 0) for value in hashes)


def test_many_rows_with_few_values_are_each_given_their_own(
    patients: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    people: list[dict[str, str | None]] = [
        {"visit_id": str(n), "patient_id": str(n % 7), "email": f"{n}@example.org"} for n in range(60)
    ]
    found = [(row["visit_id"], row["patient_id"]) for row in judged(patients, con, people)]
    assert found == [(hidden(str(n)), hidden(str(n % 7))) for n in range(60)]


def test_typed_rows_give_what_text_rows_give(patients: Contract, con: duckdb.DuckDBPyConnection) -> None:
    people: list[dict[str, str | None]] = [{}, {"visit_id": "2", "email": "a@b", "clinic": "east"}]
    from_text = judged(patients, con, people)
    con.execute("UPDATE visits SET Birth = strptime(Birth, '%d/%m/%Y')")
    casts = ", ".join(
        f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in patients.raw_schema(typed=True).items()
    )
    typed = con.sql(f"SELECT {casts}, landing_date, file, content_hash, row_number, seen_at FROM visits")
    relation = classify(patients, con, typed, key=KEY).order("row_number")
    found = [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    for row in (*found, *from_text):
        row["original"] = {
            name: value
            for name, value in json.loads(row["original"] or "{}").items()
            if name != "occurred_at"
        }
    assert found == from_text


def test_minus_zero_is_not_zero(patients: Contract, con: duckdb.DuckDBPyConnection) -> None:
    people: list[dict[str, str | None]] = [
        {"visit_id": str(n), "pressure": text, "email": f"{n}@example.org"}
        for n, text in enumerate(("0", "-0", "0.0", "-0.0"))
    ]
    found = [row["pressure"] for row in judged(patients, con, people)]
    assert found == [hidden("0.0"), hidden("-0.0")] * 2


def test_no_key_no_rows(patients: Contract, contract: Contract, con: duckdb.DuckDBPyConnection) -> None:
    rows = rows_of(con, [{}])
    for key in (None, b""):
        with pytest.raises(ContractError, match=f"visit_id, .* are personal, and there is no key.*{NAME}"):
            classify(patients, con, rows, key=key)


def test_two_keys_on_one_connection_stay_apart(patients: Contract, con: duckdb.DuckDBPyConnection) -> None:
    """A relation is lazy: it is run after the connection has been given the other key."""
    rows = rows_of(con, [{}])
    first = classify(patients, con, rows, key=KEY)
    second = classify(patients, con, rows, key=b"another key for tests")
    assert first.project("email").fetchall() == [(hidden("ana.rojas@zqmail.example"),)]
    assert second.project("email").fetchall() != first.project("email").fetchall()


def test_the_key_is_in_no_text_of_the_query(patients: Contract, con: duckdb.DuckDBPyConnection) -> None:
    query = classify(patients, con, rows_of(con, [{}]), key=KEY).sql_query()
    inner = bytes(byte ^ 0x36 for byte in KEY).decode("latin-1")
    assert "pseudonym_key_" in query
    assert KEY.decode() not in query
    assert inner not in query
    assert KEY.hex() not in query.lower()


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "sixteen letters!")
    assert key_from_environment() == b"sixteen letters!"
    monkeypatch.setenv("OTHER_KEY", "sechzehn Zeichen ü")
    assert key_from_environment("OTHER_KEY") == "sechzehn Zeichen ü".encode()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, f"{NAME} holds no key for personal columns; set {NAME} to a secret of at least 16 characters"),
        ("", "holds no key"),
        ("fifteen letters", f"the key in {NAME} has 15 characters; set"),
        ("a secret with its line break\n", "begins or ends with a blank or a line break"),
    ],
)
def test_a_key_that_will_not_do_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str | None, message: str
) -> None:
    monkeypatch.delenv(NAME, raising=False)
    if value is not None:
        monkeypatch.setenv(NAME, value)
    with pytest.raises(PseudonymError, match=message) as caught:
        key_from_environment()
    assert not value or value not in str(caught.value)


def test_a_fingerprint_tells_keys_apart_and_stays_the_same() -> None:
    assert fingerprint(KEY) == fingerprint(KEY) == "e0a6b269"
    assert fingerprint(KEY + b"!") != fingerprint(KEY)
