"""The command that replays a model's history, on the mini use case with versions of two more cutoffs."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from ml_assets.cli.app import main
from ml_assets.lake import connect
from ml_assets.operations.backtest import Backtest, backtest
from ml_assets_tests.house import MINI, House, failures, opened

pytestmark = pytest.mark.slow
EARLIER = (date(2024, 2, 19), date(2024, 2, 26))


@pytest.fixture(scope="module")
def replayed(finished_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The finished project, whose champion is of 2024-03-04, with candidates of the two cutoffs before."""
    with opened(tmp_path_factory.mktemp("replayed") / "home", template=finished_home) as house:
        done = house.run(["churn/training_set", "churn/candidate"], *EARLIER)
        assert done.success, failures(done)
        yield house


def files(folder: Path) -> dict[str, int]:
    """Every file of a folder and when it was changed, what SQLite keeps beside its databases apart."""
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and "db" not in path.suffix
    }


def found(house: House) -> Backtest:
    with connect() as con:
        return backtest(con, house.churn, house.lake, house.registry)


def test_what_is_on_record_is_replayed(replayed: House) -> None:
    past = found(replayed)
    assert [c.cutoff for c in past.history.candidates] == [*EARLIER, date(2024, 3, 4)]
    assert past.history.days[0] == EARLIER[0] + timedelta(days=7), "when its holdout's labels are mature"
    assert past.history.days[-1] == date(2024, 3, 10)
    never, weekly, drift, oracle = past.results
    assert [r.replayed.strategy for r in past.results] == ["never", "weekly", "drift", "oracle"]
    assert len(weekly.replayed.trainings) == 1
    assert len(drift.losses) == 14
    assert oracle.loss <= never.loss
    first, second = past.history.candidates[:2]
    assert (first.version, second.cutoff) in past.history.outcomes
    assert (second.version, first.cutoff) not in past.history.outcomes, "it had learnt from those labels"


def test_the_command_writes_a_page_and_a_plot_and_nothing_else(
    replayed: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ML_ASSETS_DEFS", MINI)
    before = files(replayed.home)
    assert main(["monitor", "backtest", "churn"]) == 0
    after = files(replayed.home)
    written = {"data/backtests/churn.md", "data/backtests/churn.png"}
    assert after.keys() - before.keys() == written
    # MLflow notes beside a model which version it was read as, each time.
    kept = {name for name in before if not name.endswith("/registered_model_meta")}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    page = (replayed.home / "data" / "backtests" / "churn.md").read_text()
    assert page.startswith("# Ways of retraining churn")
    told = capsys.readouterr()
    assert "| oracle" in told.out
    assert "version 2 is in use" in told.err


def test_one_version_is_too_few(
    finished: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ML_ASSETS_DEFS", MINI)
    assert main(["monitor", "backtest", "churn"]) == 1
    told = capsys.readouterr().err
    assert "needs two candidates on record" in told
    assert "ml-assets materialize --cutoffs 30" in told
    assert not (finished.home / "data" / "backtests").exists()
