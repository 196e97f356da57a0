"""A source with a personal column, through the real assets: its plain values are in raw and nowhere else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ml_assets.components.shared.maintenance import _expire
from ml_assets.lake import connect
from ml_assets.landing.raw import seen_files
from ml_assets.landing.withholding import breaches
from ml_assets_tests import visits
from ml_assets_tests.house import SOURCE, House, failures, opened, scratch_defs

NAME = "ML_ASSETS_PSEUDONYM_KEY"
HEADER = "visit_id,visitor_id,amount,channel,email,occurred_at\n"
EMAIL = """      - name: email
        logicalType: string
        classification: personal
        logicalTypeOptions: {pattern: "^[^@ ]+@[^@ ]+$"}
      - name: occurred_at
"""
PLAIN = ("ann.frank", "zqmail")
"""Parts of every e-mail address that lands here."""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """The mini use case with CSV files and a personal column; the key is set."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(NAME, "a key for tests only")
    module = scratch_defs(
        tmp_path / f"personal_{tmp_path.name}",
        {
            "visits/defs.yaml": ("  start:", '    pattern: "{date}.csv"\n  start:'),
            "visits/contract.yaml": ("      - name: occurred_at\n", EMAIL),
        },
    )
    with opened(tmp_path / "home", module=module) as made:
        made.landing.mkdir()
        yield made


def row(day: int, number: int, email: str = "ann.frank@zqmail.example", amount: str = "9.50") -> str:
    return f"{number},{number},{amount},shop,{email},{visits.day(day)} 08:00:00Z\n"


def land(house: House, day: int, *rows: str) -> None:
    (house.landing / f"{visits.day(day)}.csv").write_text(HEADER + "".join(rows))


def everything_said(house: House, result: dg.ExecuteInProcessResult) -> str:
    """All events of the run, with their metadata and errors, as the instance keeps them."""
    logs = house.instance.all_logs(result.run_id)
    return "\n".join(json.dumps(dg.serialize_value(entry)) for entry in logs)


def leaks(*said: Any) -> list[str]:
    return [part for part in PLAIN for text in said if part in str(text)]


@pytest.mark.parametrize(
    "bad",
    [
        row(1, 1) + "2,2,9.50,shop,ann.frank@zqmail.example\n",
        row(1, 1) + '2,2,9.50,shop,"ann.frank@zqmail.example,2024\n',
        row(1, 1) + "2,2,9.50,caf\udce9,ann.frank@zqmail.example,2024\n",
    ],
    ids=["fields", "quote", "encoding"],
)
def test_a_refused_file_is_told_of_without_its_values(shop: House, bad: str) -> None:
    land(shop, 0, *(row(0, n) for n in range(5)))
    (shop.landing / f"{visits.day(1)}.csv").write_bytes((HEADER + bad).encode(errors="surrogateescape"))
    result = shop.run(SOURCE, 0, 1)
    said = everything_said(shop, result)
    assert "files_accepted" in said
    with connect() as con:
        reasons = [seen.reason for seen in seen_files(con, shop.source.files).values() if seen.reason]
        withheld = [breach.message for breach in breaches(con, shop.source)]
    assert len(reasons) == len(withheld) == 1
    assert "2024-01-02.csv: line 3 " in reasons[0]
    assert leaks(said, reasons, withheld) == []


def test_without_a_key_nothing_is_built(shop: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME)
    land(shop, 0, row(0, 1))
    [message] = failures(shop.run(SOURCE, 0)).values()
    assert f"email are personal. the environment variable {NAME} holds no key" in message
    assert not shop.source.raw.exists
    assert not shop.source.files.exists


def test_plain_values_are_in_raw_and_nowhere_else(shop: House) -> None:
    """Accepted and refused rows, for reasons that are about the personal column and others."""
    land(shop, 0, *(row(0, n) for n in range(1, 10)), row(0, 10, "no address of ann.frank@zqmail"))
    land(shop, 1, row(1, 11), row(1, 12, amount="-1"), row(1, 12, amount="-1"))
    result = shop.run(SOURCE, 0, 1)
    assert len(leaks(shop.rows("visits/raw"))) == len(PLAIN)
    events, quarantine = shop.rows("visits/events"), shop.rows("visits/quarantine")
    assert (len(events), len(quarantine)) == (9, 3)
    with connect() as con:
        records = [
            table.read(con).fetchall() for table in (shop.source.files, shop.source.withheld) if table.exists
        ]
    said = everything_said(shop, result)
    assert "email_pattern" in str(quarantine)
    assert "refused_share" in said
    assert leaks(events, quarantine, records, said) == []
    written = [path.read_bytes() for path in shop.home.rglob("*") if path.is_file()]
    raw = [path.read_bytes() for path in Path(shop.source.raw.uri).rglob("*") if path.is_file()]
    landed = [path.read_bytes() for path in shop.landing.iterdir()]
    assert [file for file in written if b"ann.frank" in file and file not in (*raw, *landed)] == []


def test_plain_values_of_refused_files_go_with_their_retention(shop: House, tmp_path: Path) -> None:
    with (tmp_path / shop.module / "visits" / "contract.yaml").open("a") as contract:
        contract.write("slaProperties:\n  - {property: retention, value: 1, unit: d}\n")
    for day in (0, 31):
        land(shop, day, row(day, 1), "no row\n")
    land(shop, 32, row(32, 1))
    shop.run(SOURCE, 0, 32)
    assert len(kept(shop)) == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_ASSETS_DEFS", shop.module)
        deleted = _expire(shop.lake)
    assert deleted["visits/refused_files"] == 1
    assert kept(shop) == [f"{visits.day(31)}.csv"]


def kept(house: House) -> list[str]:
    with connect() as con:
        return [name for (name,) in house.source.refused.read(con).select("file").order("file").fetchall()]
