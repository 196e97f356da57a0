"""The command ``monitor calibrate`` on tables of the mini use case, without a registry."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import duckdb
import numpy as np
import pandas as pd
import pytest

from ml_assets.cli import monitor as cli_monitor
from ml_assets.cli.app import main
from ml_assets.lake import Lake, Provenance, connect
from ml_assets.monitoring.measure.profile import build_profile, profile_rows
from ml_assets.project.model import DeclaredModel
from ml_assets.project.project import Project
from ml_assets.registry.promotion_log import Move, read_log, write_moves
from ml_assets_tests.house import MINI

CUTOFF = date(2024, 3, 4)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


@pytest.fixture
def churn(
    tmp_path: Path, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> tuple[DeclaredModel, Lake]:
    """The model of the mini use case, which the command opens without asking for a registry."""
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(tmp_path / "landing"))
    model, lake = Project.of(MINI).models["churn"], Lake(str(tmp_path / "lake"))

    @contextmanager
    def opened(name: str) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(model=model, lake=lake, book=SimpleNamespace(con=con))

    monkeypatch.setattr(cli_monitor, "opened", opened)
    return model, lake


def plant(con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake) -> None:
    """A champion, its training rows and its profile."""
    tables, types = model.tables(lake), model.group.feature_types
    random, rows = np.random.default_rng(0), 400
    frame = pd.DataFrame(
        {
            "cutoff": CUTOFF,
            "as_of": np.repeat([CUTOFF - timedelta(weeks=n) for n in range(8, 0, -1)], rows),
            **{name: np.tile(np.arange(rows), 8) for name in model.entity},
        }
    )
    numeric = [name for name, kind in types.items() if kind not in ("VARCHAR", "BOOLEAN")]
    for name in types:
        values = random.normal(size=len(frame)) if name in numeric else random.choice(["a", "b"], len(frame))
        frame[name] = values
    trained = con.from_df(frame)
    categorical = [name for name in types if name not in numeric]
    profiles = build_profile(
        con, trained, numeric=numeric, categorical=categorical, weights={numeric[0]: 1.0}
    )
    between = (CUTOFF, CUTOFF)
    tables.training_set.replace(
        trained.select("* REPLACE (cutoff::DATE AS cutoff, as_of::DATE AS as_of)"),
        between=between,
        provenance=Provenance(),
    )
    stored = profile_rows(con, profiles, version=3, cutoff=CUTOFF)
    tables.profiles.replace(stored, between=between, provenance=Provenance())
    log = read_log(con, tables.promotions, model.name)
    write_moves(con, tables.promotions, log, [Move("promote", None, 3, CUTOFF, "test", "passed")])


def test_it_prints_thresholds_alarms_and_what_is_caught(
    con: duckdb.DuckDBPyConnection, churn: tuple[DeclaredModel, Lake], capsys: pytest.CaptureFixture[str]
) -> None:
    plant(con, *churn)
    assert main(["monitor", "calibrate", "churn", "--days", "20", "--seeds", "2", "--rows", "300"]) == 0
    said = capsys.readouterr().out
    assert "churn version 3, trained at 2024-03-04" in said
    assert "days drawn from 8 days of its training rows, 300 rows a day" in said
    assert "false alarms in 20 days, by seed: 0, 0; 0.00 a year" in said
    assert "days called broken, by seed: 0, 0" in said
    (line,) = [line for line in said.splitlines() if "100.0%" in line]
    assert line.endswith("training deviations")


def test_without_a_champion_or_a_profile_it_says_what_to_do(
    con: duckdb.DuckDBPyConnection, churn: tuple[DeclaredModel, Lake], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["monitor", "calibrate", "churn"]) == 1
    assert "churn has no champion yet. Materialize churn/champion first." in capsys.readouterr().err
    plant(con, *churn)
    tables = churn[0].tables(churn[1])
    tables.profiles.replace(
        tables.profiles.read(con).filter("false"), between=(CUTOFF, CUTOFF), provenance=Provenance()
    )
    assert main(["monitor", "calibrate", "churn"]) == 1
    assert "materialize the candidate again" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["0", "-3", "many"])
def test_a_number_of_days_that_is_none_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "calibrate", "churn", "--days", given]) == 2
    assert "--days" in capsys.readouterr().err
