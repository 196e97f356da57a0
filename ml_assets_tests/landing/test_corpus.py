"""Files as they go wrong in life: what is said of each, and that none costs another file anything."""

import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from ml_assets.contracts import Contract
from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.classify import classify
from ml_assets.landing import LandingFile, ReadResult, read
from ml_assets_tests.landing.conftest import days, values
from ml_assets_tests.places import LANDING as CORPUS

EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load((CORPUS / "expected.yaml").read_text())
BESIDE = {
    "parquet": "plain.parquet",
    "csv": "reordered.csv",
    "gz": "two_members.csv.gz",
    "zst": "two_frames.csv.zst",
    "jsonl": "reordered.jsonl",
    "ndjson": "nested.ndjson",
}
QUOTATION = re.compile(r""": (?:'.*'|".*"|(?<=another format: ).*?)(?:[.]{3})?; """)
"""What a reason quotes of a file, or of DuckDB, which may quote it."""
REMEDY = re.compile(r"land|save|correct|write|unpack|compress|end all|try")


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@cache
def contract(name: str) -> Contract:
    return load_contract(CORPUS / f"{name}.yaml")


@pytest.fixture(scope="module")
def personal(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """The contract of sales, where the label says who bought."""
    path = tmp_path_factory.mktemp("personal") / "sales.yaml"
    text = (CORPUS / "sales.yaml").read_text()
    path.write_text(text.replace("physicalName: Label", "physicalName: Label, classification: personal"))
    return load_contract(path)


def landed(name: str, day: int = 1) -> LandingFile:
    path = CORPUS / name
    return LandingFile(date(2017, 7, day), path, path.stat().st_size)


def delimiter(name: str) -> str:
    return str(EXPECTED["delimiters"].get(name, ","))


def beside(name: str) -> LandingFile:
    """A good file of the same format."""
    suffix = ".jsonl" if ".jsonl" in name or ".ndjson" in name else Path(name).suffix
    return landed(f"good/{BESIDE[suffix.removeprefix('.')]}", day=2)


def alike(pattern: str, said: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), said, re.DOTALL) is not None


@pytest.mark.parametrize("folder", ["bad", "good", "rows"])
def test_every_file_is_expected(folder: str) -> None:
    assert {path.name for path in (CORPUS / folder).iterdir()} == set(EXPECTED[folder])


@pytest.mark.parametrize("name", EXPECTED["bad"])
def test_a_bad_file_is_refused_in_words_that_help(con: duckdb.DuckDBPyConnection, name: str) -> None:
    file = landed(f"bad/{name}")
    good = beside(name)
    together = delimiter(f"bad/{name}") == ","
    files = [file, good] if together else [file]
    result = read(con, files, contract("sales"), delimiter=delimiter(f"bad/{name}"))
    [refusal] = result.refused
    said = refusal.reason.removeprefix(f"{name}: ")
    assert alike(EXPECTED["bad"][name], said), said
    assert refusal.file == file
    assert REMEDY.search(said.rpartition("; ")[2]), "it doesn't say what to do"
    assert len(said) < 600
    assert "\n" not in said
    rows = {good.date.day: EXPECTED["good"][good.path.name]} if together else {}
    assert days(result) == rows
    if together:
        assert len(values(result)) == rows[2]


@pytest.mark.parametrize("name", [name for name, said in EXPECTED["bad"].items() if QUOTATION.search(said)])
def test_where_a_column_is_personal_nothing_of_the_file_is_quoted(
    con: duckdb.DuckDBPyConnection, personal: Contract, name: str
) -> None:
    file, parts = landed(f"bad/{name}"), delimiter(f"bad/{name}")
    [plain], [hidden] = (
        read(con, [file], promise, delimiter=parts).refused for promise in (contract("sales"), personal)
    )
    quoted = QUOTATION.search(plain.reason)
    assert quoted
    assert hidden.reason == plain.reason.replace(quoted[0], "; ")
    lines = (line[:60] for line in file.path.read_text("latin-1").splitlines()[1:])
    assert not [line for line in lines if len(line) > 5 and repr(line)[1:-1] in hidden.reason]
    assert REMEDY.search(hidden.reason.rpartition("; ")[2])


@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz", "csv.zst", "jsonl"])
def test_all_bad_files_of_a_format_at_once_leave_the_good_one_whole(
    con: duckdb.DuckDBPyConnection, ending: str
) -> None:
    bad = [landed(f"bad/{name}", day=1) for name in EXPECTED["bad"] if name.endswith(f".{ending}")]
    bad = [file for file in bad if delimiter(f"bad/{file.path.name}") == ","]
    good = beside(f"any.{ending}")
    half = len(bad) // 2
    result = read(con, [*bad[:half], good, *bad[half:]], contract("sales"))
    assert [refusal.file for refusal in result.refused] == bad
    assert days(result) == {2: EXPECTED["good"][good.path.name]}


@pytest.mark.parametrize("name", EXPECTED["good"])
def test_a_good_file_is_read_whole(con: duckdb.DuckDBPyConnection, name: str) -> None:
    result = read(con, [landed(f"good/{name}")], contract("sales"), delimiter=delimiter(f"good/{name}"))
    assert result.refused == []
    assert days(result) == {1: EXPECTED["good"][name]}
    assert len(values(result)) == EXPECTED["good"][name]


def classified(con: duckdb.DuckDBPyConnection, result: ReadResult) -> dict[int, list[str]]:
    """The reasons to refuse each row, by its number."""
    assert result.rows is not None
    rows = result.rows.project("*, TIMESTAMPTZ '2017-07-02 06:00:00+00' AS seen_at")
    found = classify(contract("orders"), con, rows, late_days=1)
    return dict(found.project("row_number, reasons").fetchall())


@pytest.mark.parametrize("name", EXPECTED["rows"])
def test_a_bad_row_goes_to_quarantine_with_its_reasons(con: duckdb.DuckDBPyConnection, name: str) -> None:
    expected = dict(EXPECTED["rows"][name])
    accepted = expected.pop("accepted")
    result = read(con, [landed(f"rows/{name}")], contract("orders"))
    assert result.refused == []
    reasons = classified(con, result)
    rules = {row: [said.partition(": ")[0] for said in why] for row, why in reasons.items() if why}
    assert rules == expected
    assert sum(not why for why in reasons.values()) == accepted
    for said in (said for why in reasons.values() for said in why):
        assert said.endswith(" expected") or "expected (UTC)" in said or "an earlier row has the same" in said
