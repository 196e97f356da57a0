import json
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.lake import Lake, Provenance

DAY = date(2024, 1, 1)
words = st.text(max_size=8)
provenances = st.builds(
    Provenance,
    run=words,
    asset=words,
    code=words,
    inputs=st.dictionaries(words, st.integers(0, 2**40), max_size=3),
    definitions=st.dictionaries(words, words, max_size=3),
    facts=st.dictionaries(words, words, max_size=3),
)


@given(provenances)
def test_what_a_commit_carries_reads_back(made: Provenance) -> None:
    assert Provenance.of(made.as_metadata()) == made
    assert set(made.as_metadata()) <= {"provenance"}


def test_a_table_keeps_it_under_one_key(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    table = Lake(str(tmp_path)).table("a/b", "day")
    made = Provenance("r1", "a/b", "c0ffee+changes", {"a/a": 3}, {"spend": "f00"}, {"contract": "5h4"})
    table.replace(con.sql(f"SELECT DATE '{DAY}' AS day, 1 AS n"), between=(DAY, DAY), provenance=made)
    assert table.history(1)[0].provenance == made
    written = (Path(table.uri) / "_delta_log" / f"{1:020d}.json").read_text().splitlines()
    [said] = [line["commitInfo"] for line in map(json.loads, written) if "commitInfo" in line]
    assert json.loads(said["provenance"])["inputs"] == {"a/a": 3}
    assert not {"run", "asset", "inputs", "contract"} & set(said)


def test_further_facts_leave_the_first_as_they_are() -> None:
    made = Provenance(run="r", facts={"contract": "a"})
    assert made.saying(model_version="3").facts == {"contract": "a", "model_version": "3"}
    assert made.facts == {"contract": "a"}


OLDER: list[tuple[dict[str, Any], Provenance]] = [
    (
        {"run": "r", "asset": "a/b", "inputs": '{"a/a": 3}', "contract": "5h4", "pseudonym_key": "k"},
        Provenance("r", "a/b", inputs={"a/a": 3}, facts={"contract": "5h4", "pseudonym_key": "k"}),
    ),
    ({"inputs": "{}", "model_version": "7"}, Provenance(facts={"model_version": "7"})),
    (
        {"why": "retention", "before": "2024-01-01"},
        Provenance(facts={"why": "retention", "before": "2024-01-01"}),
    ),
    (
        {"action": "promote", "engineInfo": "delta-rs", "first": "2024-01-01"},
        Provenance(facts={"action": "promote"}),
    ),
    ({}, Provenance()),
]


@pytest.mark.parametrize(("entry", "expected"), OLDER)
def test_older_commits_said_it_under_keys_of_their_own(entry: dict[str, Any], expected: Provenance) -> None:
    assert Provenance.of(entry) == expected
