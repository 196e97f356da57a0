"""The commands about sources, as a person runs them: processes of their own on a scratch project."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from shutil import copytree

import pyarrow as pa
import pytest

from ml_assets.cli.app import main
from ml_assets.contracts.compile.load import load_contract
from ml_assets_tests import visits
from ml_assets_tests.house import MINI
from ml_assets_tests.places import MINI_FOLDER

pytestmark = pytest.mark.slow
CONTRACT = MINI_FOLDER / "visits" / "contract.yaml"
UNTIL = str(date.today() + timedelta(days=30))

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`ml-assets` on the mini use case in a scratch home."""
    environment = os.environ | {
        "ML_ASSETS_HOME": str(tmp_path),
        "ML_ASSETS_MINI_LANDING": str(tmp_path / "landing"),
        "DAGSTER_HOME": str(tmp_path / ".dagster"),
    }

    def command(*words: str, defs: str = MINI) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "ml_assets.cli", *words],
            env=environment | {"ML_ASSETS_DEFS": defs, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    return command


def test_a_withheld_day_is_shown_waived_and_replayed(run: Run, tmp_path: Path) -> None:
    visits.land(tmp_path / "landing", visits.day(0), visits.day(3))
    rows = visits.visits_of(visits.day(2))
    half = len(rows) // 2
    spoilt = [row | {"amount": Decimal(-1)} for row in rows[:half]] + rows[half:]
    visits.write(tmp_path / "landing" / f"{visits.day(2)}.parquet", spoilt)

    made = run("materialize")
    assert made.returncode == 1
    assert "1 of 4 days of visits break their contract and are withheld" in made.stderr
    assert "visitor_features: snapshot  2024-01-02 to 2024-01-03" in made.stderr

    shown = run("data", "quarantine", "visits", "--limit", "1")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0] == "1 days of visits are withheld"
    assert lines[1].startswith("  2024-01-03  refused_share: ")
    assert lines[2] == f"{half} rows are in quarantine"
    assert lines[3].split() == [
        str(half),
        "amount_minimum",
        "on",
        "1",
        "days,",
        "2024-01-03",
        "to",
        "2024-01-03",
    ]
    assert lines[4].startswith(
        "2024-01-03.parquet row 1: amount_minimum: amount is -1.00, at least 0 expected"
    )
    assert '"visit_id":2001' in lines[5]
    assert run("data", "quarantine", "visits", "--rule", "row_count").stdout.splitlines()[1:] == [
        lines[1],
        "0 rows are in quarantine",
    ]

    refused = run("data", "waive", "visits", "2024-01-02", "--why", "no reason", "--until", UNTIL)
    assert refused.returncode == 1
    assert "no day from 2024-01-02 to 2024-01-02 breaks a rule of visits" in refused.stderr
    assert "Broken now: refused_share on 2024-01-03" in refused.stderr
    over = run("data", "waive", "visits", "2024-01-03", "--why", "no reason", "--until", "2024-02-01")
    assert "--until 2024-02-01 is over" in over.stderr

    replayed = run("data", "replay", "visits")
    assert replayed.returncode == 1
    assert (
        f"1 of 1 days built again, 1 are withheld; {half} rows were in quarantine, {half} are now"
        in replayed.stdout
    )
    waived = run("data", "waive", "visits", "2024-01-03", "--why", "the tills were down", "--until", UNTIL)
    assert waived.returncode == 0, waived.stderr
    assert waived.stdout.startswith("refused_share waived for visits from 2024-01-03 to 2024-01-03 until")
    assert run("data", "replay", "visits").returncode == 0
    assert run("data", "quarantine", "visits").stdout.startswith("0 days of visits are withheld")


def test_a_corrected_contract_takes_its_rows_back(tmp_path: Path, run: Run) -> None:
    visits.land(tmp_path / "landing", visits.day(0), visits.day(0))
    rows = visits.visits_of(visits.day(1))
    visits.write(
        tmp_path / "landing" / f"{visits.day(1)}.parquet", [rows[0] | {"channel": "phone"}, *rows[1:]]
    )
    schema = visits.SCHEMA.append(pa.field("coupon", pa.string()))
    with_coupons = [row | {"coupon": "X1"} for row in visits.visits_of(visits.day(2))]
    visits.write(tmp_path / "landing" / f"{visits.day(2)}.parquet", with_coupons, schema)
    assert "column 'coupon' is new" in run("materialize").stderr
    assert "1 rows are in quarantine" in run("data", "quarantine", "visits").stdout
    defs = tmp_path / "corrected" / "defs"
    copytree(MINI_FOLDER, defs)
    contract = defs / "visits" / "contract.yaml"
    text = contract.read_text().replace("[shop, web]", "[shop, web, phone]")
    coupon = "      - {name: coupon, logicalType: string}\n      - name: occurred_at\n"
    contract.write_text(text.replace("      - name: occurred_at\n", coupon))
    replayed = run("data", "replay", "visits", defs="corrected.defs")
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert "3 of 3 days built again, 0 are withheld; 1 rows were in quarantine, 0 are now" in replayed.stdout


def test_an_unknown_source_is_named(run: Run) -> None:
    said = run("data", "quarantine", "visitors")
    assert said.returncode == 1
    assert said.stderr.endswith("ml-assets: there is no source visitors; did you mean visits?\n")


def test_infer_prints_a_contract_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:

    path = visits.write(tmp_path / "visits" / "2024-01-01.parquet", visits.visits_of(visits.day(0)))
    assert main(["contract", "infer", str(path)]) == 0
    (tmp_path / "contract.yaml").write_text(capsys.readouterr().out)
    contract = load_contract(tmp_path / "contract.yaml")
    assert contract.table == "visits"
    assert contract.column("amount").sql_type.startswith("DECIMAL")
    out = tmp_path / "out.yaml"
    assert main(["contract", "infer", str(path), "--out", str(out)]) == 0
    assert main(["contract", "infer", str(path), "--out", str(out)]) == 1
    assert f"{out} exists" in capsys.readouterr().err


def test_diff_exits_1_on_a_breaking_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrowed, widened = tmp_path / "narrowed.yaml", tmp_path / "widened.yaml"
    narrowed.write_text(CONTRACT.read_text().replace("[shop, web]", "[shop]"))
    widened.write_text(CONTRACT.read_text().replace("[shop, web]", "[shop, web, phone]"))
    assert main(["contract", "diff", str(CONTRACT), str(CONTRACT)]) == 0
    assert capsys.readouterr().out == "0 breaking, 0 safe changes\n"
    assert main(["contract", "diff", str(CONTRACT), str(narrowed)]) == 1
    assert "channel" in capsys.readouterr().out
    assert main(["contract", "diff", str(CONTRACT), str(widened)]) == 0
    assert "0 breaking, 1 safe changes" in capsys.readouterr().out
    assert main(["contract", "diff", str(CONTRACT), str(tmp_path / "none.yaml")]) == 1
    assert "can't be read" in capsys.readouterr().err
