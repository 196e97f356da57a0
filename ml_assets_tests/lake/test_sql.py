"""Quoted names and texts, and the names that are kept."""

import re
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ml_assets
from ml_assets.lake import sql

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(name=WORDS.filter(bool), value=WORDS)
def test_what_is_quoted_comes_back(name: str, value: str) -> None:
    found = duckdb.sql(f"SELECT {sql.text(value)} AS {sql.quote(name)}")
    assert found.columns == [name]
    assert found.fetchall() == [(value,)]


@pytest.mark.parametrize(("name", "kept"), [("__row", True), ("_row", False), ("row__", False), ("", False)])
def test_names_with_the_prefix_are_kept(name: str, kept: bool) -> None:
    assert sql.is_reserved(name) is kept


def test_nothing_else_quotes() -> None:
    doubled = re.compile(r"""replace\((["'])(['"])\1, *(["'])\2\2\3\)""")
    found = {
        path.name for path in Path(ml_assets.__path__[0]).rglob("*.py") if doubled.search(path.read_text())
    }
    assert found == {"sql.py"}
