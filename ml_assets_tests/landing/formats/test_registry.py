"""A format is one class: named once in the registry, it lands, is expected in patterns, and contracts are drafted of it."""

from pathlib import Path
from typing import ClassVar

import duckdb
import pytest

from ml_assets.contracts import Contract
from ml_assets.landing import LandingFolder, by_day
from ml_assets.landing.drafting.infer import infer
from ml_assets.landing.formats import registry
from ml_assets.landing.formats.csv import Csv
from ml_assets_tests.landing.conftest import HEADER, ROW, days, read_all, reason, write


class Bars(Csv):
    """Texts between bars, whatever the landing says."""

    words: ClassVar[str] = "texts between bars"
    suffixes: ClassVar[tuple[str, ...]] = (".bars",)

    @classmethod
    def of(cls, delimiter: str | None) -> "Bars":
        return cls("|")


def test_a_new_format_is_named_in_one_place(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(folder, 1, (HEADER + ROW).replace(",", "|"), ".bars")
    with pytest.raises(ValueError, match="isn't a file name with one"):
        LandingFolder(folder, "{date}.bars")
    monkeypatch.setattr(registry, "FORMATS", (*registry.FORMATS, Bars))
    assert [found.name for found in by_day(LandingFolder(folder, "{date}.bars").listed()).values()] == [
        path.name
    ]
    assert days(read_all(con, folder, contract)) == {1: 1}
    assert "physicalName: Label" in infer(con, [path], name="calls")
    write(folder, 2, HEADER + ROW, ".bars")
    assert "a comma between the names where a bar is expected" in reason(read_all(con, folder, contract))


def test_no_suffix_is_claimed_twice() -> None:
    assert len(set(registry.suffixes())) == len(registry.suffixes())
