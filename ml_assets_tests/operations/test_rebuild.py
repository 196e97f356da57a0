"""A training set built again from the versions on record, whatever has happened to its tables since."""

import pytest

from ml_assets.cli.app import main
from ml_assets.lake import connect
from ml_assets.training.training_set import rebuild_training_set
from ml_assets_tests import visits
from ml_assets_tests.house import FEATURES, MINI, SOURCE, House

CUTOFF = "2024-03-04"


@pytest.fixture
def commands(finished: House, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("ML_ASSETS_DEFS", MINI)
    monkeypatch.setenv("ML_ASSETS_LAKE", finished.lake.root)
    monkeypatch.setenv("DAGSTER_HOME", str(finished.home / ".dagster"))
    return finished


@pytest.mark.slow
def test_corrections_since_change_nothing(commands: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "rebuild", "churn", CUTOFF]) == 0
    before = capsys.readouterr().out
    assert "from visitor_features/snapshot version" in before
    assert "content hash" in before
    commands.land(0, 50, salt="corrected")
    assert commands.run(SOURCE, 0, 50).success
    assert commands.run(FEATURES[:1], 0, 50).success
    assert commands.run(FEATURES[1:], 1, 51).success
    assert main(["models", "rebuild", "churn", CUTOFF]) == 0
    assert capsys.readouterr().out == before
    [(digest, newest)] = [_built(commands)]
    assert digest in before
    assert newest != digest, "built from the tables as they are now it is another"


def _built(house: House) -> tuple[str, str]:
    """The content hash of the stored rows, and of a training set of the tables as they are now."""
    from ml_assets.training.training_set import build_training_set

    model, tables = house.churn, house.churn.tables(house.lake)
    with connect() as con:
        snapshot, cutoff = model.group.snapshot(house.lake), visits.date.fromisoformat(CUTOFF)
        stored = rebuild_training_set(
            con, snapshot, tables.labels, tables.training_set, cutoff, **model.training_set_of(house.lake)
        ).stored_digest
        return stored, build_training_set(
            con, snapshot, tables.labels, cutoff, **model.training_set_of(house.lake)
        ).digest


def test_stored_rows_that_were_changed_are_told(commands: House, capsys: pytest.CaptureFixture[str]) -> None:
    table = commands.churn.tables(commands.lake).training_set
    cutoff = visits.date.fromisoformat(CUTOFF)
    with connect() as con:
        rows = table.read(con, between=(cutoff, cutoff)).select("* REPLACE (1 - label AS label)")
        table.replace(rows, between=(cutoff, cutoff), provenance=table.history(1)[0].provenance)
    assert main(["models", "rebuild", "churn", CUTOFF]) == 1
    assert "stored are others" in capsys.readouterr().out


@pytest.mark.usefixtures("commands")
def test_what_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "rebuild", "churn", "2024-01-08"]) == 1
    assert "Table churn/training_set has no commit about 2024-01-08" in capsys.readouterr().err
    assert main(["models", "rebuild", "lapse", CUTOFF]) == 1
    assert "there is no model lapse; there are churn" in capsys.readouterr().err
