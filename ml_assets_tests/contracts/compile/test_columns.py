from pathlib import Path

import duckdb
import pytest

from ml_assets.contracts import ContractError
from ml_assets.contracts.compile.columns import build_columns, source_columns
from ml_assets.contracts.compile.document import parse
from ml_assets.contracts.contract import Column

START = """
schema:
  - properties:
      - {name: occurred_at, logicalType: timestamp, required: true}
"""


def columns(con: duckdb.DuckDBPyConnection, *properties: str, start: str = START) -> dict[str, Column]:
    document = parse(Path("contract.yaml"), (start + "".join(f"      - {p}\n" for p in properties)).encode())
    built = build_columns(document, con)
    source_columns(document, built)
    return {column.name: column for column in built}


@pytest.mark.parametrize("word", ["personal", "Personal", "PERSONAL", '" personal "'])
def test_a_personal_column_is_kept_as_text(con: duckdb.DuckDBPyConnection, word: str) -> None:
    built = columns(con, f"{{name: born, logicalType: date, classification: {word}}}")
    assert built["born"].personal
    assert (built["born"].sql_type, built["born"].stored_type) == ("DATE", "VARCHAR")
    assert not built["occurred_at"].personal
    assert built["occurred_at"].stored_type == "TIMESTAMPTZ"


@pytest.mark.parametrize("word", ["public", "internal", "confidential", "restricted", "non-personal", '""'])
def test_another_classification_only_describes(con: duckdb.DuckDBPyConnection, word: str) -> None:
    assert not columns(con, f"{{name: born, logicalType: date, classification: {word}}}")["born"].personal


@pytest.mark.parametrize(
    "word", ["pii", "PII", "personel", "persnal", "personal data", "Personally identifiable", "personal-data"]
)
def test_what_looks_like_personal_is_refused(con: duckdb.DuckDBPyConnection, word: str) -> None:
    with pytest.raises(ContractError, match=f"classification is '{word}'; write personal to keep") as caught:
        columns(con, f"{{name: born, logicalType: date, classification: {word}}}")
    assert caught.value.line == 5


@pytest.mark.parametrize("name", ["occurred_at", "available_at"])
def test_the_times_of_an_event_are_not_personal(con: duckdb.DuckDBPyConnection, name: str) -> None:
    start = "\nschema:\n  - properties:\n"
    personal = f"{{name: {name}, logicalType: timestamp, required: true, classification: personal}}"
    with pytest.raises(ContractError, match=f"'{name}' can't be personal") as caught:
        columns(con, personal, start=start)
    assert caught.value.line == 4


@pytest.mark.parametrize(
    "other",
    [
        "{name: address, physicalName: Email, logicalType: string}",
        "{name: domain, logicalType: string, transformLogic: \"split_part(EMAIL, '@', 2)\"}",
        '{name: both, logicalType: string, transformLogic: "shop || email"}',
    ],
)
def test_a_column_that_shows_what_a_personal_one_hides_is_refused(
    con: duckdb.DuckDBPyConnection, other: str
) -> None:
    personal = "{name: person, physicalName: Email, logicalType: string, classification: personal}"
    with pytest.raises(
        ContractError, match=r"reads the landing column 'Email'.*personal column 'person'"
    ) as caught:
        columns(con, personal, other)
    assert caught.value.line == 6
    with pytest.raises(ContractError, match="would show what that one hides") as caught:
        columns(con, other, personal)
    assert caught.value.line == 5
    built = columns(con, personal, other.replace("{name", "{classification: personal, name"))
    assert [column.personal for column in built.values()] == [False, True, True]


def test_transforms_may_spell_a_landing_column_in_two_ways(con: duckdb.DuckDBPyConnection) -> None:
    built = columns(
        con,
        "{name: first, logicalType: string, transformLogic: \"split_part(Email, '@', 1)\"}",
        "{name: second, logicalType: string, transformLogic: \"split_part(EMAIL, '@', 2)\"}",
    )
    assert built["first"].sources == built["second"].sources == ("Email",)


@pytest.mark.parametrize("name", ["seen_at", "Seen_At", "__refused"])
def test_names_of_the_way_into_the_tables_are_taken(con: duckdb.DuckDBPyConnection, name: str) -> None:
    with pytest.raises(ContractError, match=f"the property name '{name}' is taken"):
        columns(con, f"{{name: {name}, physicalName: other, logicalType: timestamp}}")


def test_a_landing_column_seen_at_is_taken(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(ContractError, match="the landing column name 'seen_at' is taken"):
        columns(con, "{name: shown, physicalName: seen_at, logicalType: timestamp}")
