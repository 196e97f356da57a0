import itertools
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ml_assets.training.fit import fit
from ml_assets.training.search import Found, SearchProgress, SearchRunning, search
from ml_assets.training.search_plots import search_plots
from ml_assets.training.target import BINARY
from ml_assets_tests.training.estimators.examples import SCHEMA, TARGETS, make_frame, quick

OWN = "ml_assets_tests.training.estimators.own.ByCategory"
SPEC = quick(
    "xgboost",
    parameters={"rounds": 70, "early_stopping": 70, "learning_rate": 0.3, "max_depth": 3},
    search={"trials": 12, "space": {"learning_rate": [1e-4, 0.4, "log"], "max_depth": [1, 5]}},
)

KILLED = """
import os, signal, sys
from pathlib import Path
from ml_assets.training.search import search
from ml_assets_tests.training import test_search as t

def progress(told):
    if told.trial == 9:
        import ml_assets.training.search as module
        def fit(*args, report, **named):
            report(10, 0.1)
            os.kill(os.getpid(), signal.SIGKILL)
        module.fit = fit

search(t.make_frame(), t.SCHEMA, t.SPEC, t.BINARY, Path(sys.argv[1]), "a", progress)
"""


def ended(found: Found) -> list[tuple[dict[str, object], float | None]]:
    """Parameters and loss of the trials that ended, in order."""
    return [(t.params, t.value) for t in found.study.trials if t.state.name in ("COMPLETE", "PRUNED")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, list[SearchProgress]]:
    told: list[SearchProgress] = []
    folder = tmp_path_factory.mktemp("search")
    return search(make_frame(), SCHEMA, SPEC, BINARY, folder, "a", told.append), told


def test_the_first_trial_is_the_spec_and_the_best_is_no_worse(
    whole: tuple[Found, list[SearchProgress]],
) -> None:
    found, told = whole
    assert told[0].parameters == {"learning_rate": 0.3, "max_depth": 3}
    plain = fit(make_frame(), SCHEMA, SPEC, BINARY)
    assert told[0].loss == plain.tune_loss
    assert found.loss == told[-1].best == min(t.loss for t in told if t.loss is not None) < plain.tune_loss
    again = fit(make_frame(), SCHEMA, SPEC, BINARY, parameters=found.parameters)
    assert again.tune_loss == found.loss
    assert isinstance(found.parameters["max_depth"], int)


def test_progress_tells_every_trial(whole: tuple[Found, list[SearchProgress]]) -> None:
    found, told = whole
    assert [(t.trial, t.of) for t in told] == [(n, 12) for n in range(1, 13)]
    assert {t.state for t in told} <= {"complete", "pruned"}
    assert sum(found.trials.values()) == 12
    assert found.trials["pruned"] > 0
    assert (found.resumed_from, found.trials.get("fail", 0)) == (0, 0)
    assert all(later.best <= before.best for before, later in itertools.pairwise(told))


@pytest.mark.slow
def test_a_search_that_was_killed_finds_what_one_that_was_not_finds(
    whole: tuple[Found, list[SearchProgress]], tmp_path: Path
) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    found = search(make_frame(), SCHEMA, SPEC, BINARY, tmp_path, "a")
    assert (found.resumed_from, found.trials["fail"]) == (9, 1)
    assert ended(found) == ended(whole[0])
    assert (found.parameters, found.loss) == (whole[0].parameters, whole[0].loss)
    once_more = search(make_frame(), SCHEMA, SPEC, BINARY, tmp_path, "a")
    assert (once_more.resumed_from, once_more.loss) == (12, found.loss), "there is nothing left to do"


def test_another_seed_looks_elsewhere_and_another_name_begins_anew(tmp_path: Path) -> None:
    spec = quick(OWN, search={"trials": 4})
    other = spec.model_copy(update={"seed": 8})
    first = search(make_frame(), SCHEMA, spec, BINARY, tmp_path, "first")
    same = search(make_frame(), SCHEMA, spec, BINARY, tmp_path, "same")
    second = search(make_frame(), SCHEMA, other, BINARY, tmp_path, "other")
    assert ended(first) == ended(same)
    assert ended(first)[0] == ended(second)[0] == ({"prior": 10.0}, pytest.approx(ended(first)[0][1]))
    assert ended(first)[1] != ended(second)[1]


@pytest.mark.parametrize("kind", TARGETS)
def test_every_kind_of_target_can_be_searched(kind: str, tmp_path: Path) -> None:
    spec = quick(
        "hist_gradient_boosting", parameters={"rounds": 20, "max_leaf_nodes": 8}, search={"trials": 2}
    )
    found = search(make_frame(kind), SCHEMA, spec, TARGETS[kind], tmp_path, "a")
    assert found.trials == {"complete": 2}
    assert set(found.parameters) == {
        "learning_rate",
        "max_leaf_nodes",
        "min_samples_leaf",
        "l2_regularization",
        "max_features",
    }


@pytest.mark.parametrize("name", ["xgboost", "hist_gradient_boosting"])
def test_a_trial_that_leads_nowhere_is_pruned(name: str, tmp_path: Path) -> None:
    """Trees that learn at a rate of next to nothing are behind from the first report after the warm-up."""
    spec = quick(name, search={"trials": 12, "space": {"learning_rate": [1e-6, 0.3, "log"]}})
    spec = spec.model_copy(update={"parameters": {**spec.parameters, "rounds": 80, "early_stopping": 80}})
    told: list[SearchProgress] = []
    found = search(make_frame(), SCHEMA, spec, BINARY, tmp_path, "a", told.append)
    pruned = [t for t in told if t.state == "pruned"]
    assert found.trials["pruned"] == len(pruned) > 0
    assert all(t.loss is None and t.trial > 5 for t in pruned)
    last_steps = [t.last_step for t in found.study.trials if t.state.name == "PRUNED"]
    assert all(step is not None and 50 <= step < 80 for step in last_steps)


def test_minutes_end_a_search_after_a_trial_at_least(tmp_path: Path) -> None:
    spec = quick(OWN, search={"trials": 500, "minutes": 1e-9})
    assert search(make_frame(), SCHEMA, spec, BINARY, tmp_path, "a").trials == {"complete": 1}
    assert search(make_frame(), SCHEMA, spec, BINARY, tmp_path, "a").trials == {"complete": 2}


def test_a_trial_that_fails_ends_the_search_with_its_error(tmp_path: Path) -> None:
    spec = quick(OWN, search={"trials": 3})
    with pytest.raises(KeyError, match="label"):
        search(make_frame().drop(columns="label"), SCHEMA, spec, BINARY, tmp_path, "a")
    found = search(make_frame(), SCHEMA, spec, BINARY, tmp_path, "a")
    assert found.trials == {"fail": 1, "complete": 3}
    assert ended(found)[0][0] == {"prior": 10.0}, "the spec's own parameters are tried again"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    import fcntl

    spec = quick(OWN, search={"trials": 2})
    with (tmp_path / "a.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SearchRunning, match=r"Another process is at the search of .*a\.db"):
            search(make_frame(), SCHEMA, spec, BINARY, tmp_path, "a")
        assert search(make_frame(), SCHEMA, spec, BINARY, tmp_path, "b").trials == {"complete": 2}


def test_without_a_search_there_is_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the spec has no search"):
        search(make_frame(), SCHEMA, quick(OWN), BINARY, tmp_path, "a")


def test_plots(whole: tuple[Found, list[SearchProgress]], tmp_path: Path) -> None:
    import io

    from PIL import Image

    plots = search_plots(whole[0].study)
    assert list(plots) == ["history", "parameters"]
    for png in plots.values():
        with Image.open(io.BytesIO(png)) as image:
            assert min(image.size) > 200
            assert np.asarray(image.convert("L")).std() > 5, "something is drawn"
        assert len(png) < 60_000
    import optuna

    with pytest.raises(ValueError, match="search empty has no trial that ended"):
        search_plots(optuna.create_study(study_name="empty"))
