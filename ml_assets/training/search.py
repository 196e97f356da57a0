"""A search for parameters by Optuna: the same trials every time, also where it was killed in between."""

import fcntl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.instance.progress import advance
from ml_assets.training.estimators import estimator_class
from ml_assets.training.fit import fit
from ml_assets.training.spec import Train
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import optuna
    import pandas as pd

STEPS_BETWEEN_REPORTS = 10
"""A trial says how it goes after so many steps: each report is a transaction."""
FIRST_PRUNED = 5
"""So many trials end by themselves before one is pruned."""
STEPS_BEFORE_PRUNING = 50
"""A low learning rate begins badly."""


class SearchRunning(Exception):
    """Another process does the same search; the message says which file it holds."""


@dataclass(frozen=True)
class SearchProgress:
    """How a search goes, told after each trial."""

    trial: int
    """Counted from 1, over all trials that ended, of ``of``."""
    of: int
    state: str
    """'complete' or 'pruned'."""
    loss: float | None
    """The tune loss as ``loss_of``; None if pruned."""
    best: float
    parameters: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class Found:
    """The best parameters of a search and how it went."""

    parameters: dict[str, Any]
    """Those searched for; the others stand as in the spec."""
    loss: float
    """The tune loss of the best trial, as ``loss_of``."""
    trials: dict[str, int]
    """State -> how many trials: 'complete', 'pruned', and 'fail' for those of a process that was killed."""
    seconds: float
    resumed_from: int
    """How many trials had ended before, in a process that was killed."""
    study: "optuna.Study"


def search(
    frame: "pd.DataFrame",
    schema: Mapping[str, str],
    spec: Train,
    target: Target,
    storage: Path,
    name: str,
    progress: Callable[[SearchProgress], None] | None = None,
) -> Found:
    """Look for the parameters with the lowest tune loss; the first trial is those of the spec.

    ``frame``, ``schema``, ``spec`` and ``target`` are those of ``fit``. The trials are kept in the SQLite file
    ``storage / <name>.db``, and a search of the same name goes on after those that ended: the name stands for the
    rows and the spec. Trial n follows from the seed and the trials before it, so a search that was killed and taken
    up again finds what it would have found; with ``minutes`` it may get less far. Raises SearchRunning where another
    process is at it, ValueError without ``spec.search``, and what ``fit`` raises.
    """
    if spec.search is None:
        raise ValueError("there is nothing to search for: the spec has no search")
    started = time.monotonic()
    with _alone(storage, name) as file:
        study = _study(file, name)
        resumed_from = len(_ended(study))
        while (done := len(_ended(study))) < spec.search.trials:
            minutes = (time.monotonic() - started) / 60
            if done > resumed_from and spec.search.minutes is not None and minutes >= spec.search.minutes:
                break
            advance("trials", done, spec.search.trials)
            _run_trial(study, frame, schema, spec, target, progress)
    states = Counter(trial.state.name.lower() for trial in study.trials)
    seconds = time.monotonic() - started
    return Found(study.best_params, study.best_value, dict(states), seconds, resumed_from, study)


@contextmanager
def _alone(storage: Path, name: str) -> Iterator[Path]:
    """The study's file, held against other processes; a lock that dies with its process."""
    storage.mkdir(parents=True, exist_ok=True)
    file = storage / f"{name}.db"
    with (storage / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SearchRunning(
                f"Another process is at the search of {file}. Wait for it: what it finds is kept there."
            ) from error
        yield file


def _study(file: Path, name: str) -> "optuna.Study":
    """The study in a file, made on first use; trials that a killed process left running have failed."""
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{file}",
        study_name=name,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(FIRST_PRUNED, STEPS_BEFORE_PRUNING, STEPS_BETWEEN_REPORTS),
    )
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(left.number, state=TrialState.FAIL)
    return study


def _ended(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))


def _run_trial(
    study: "optuna.Study",
    frame: "pd.DataFrame",
    schema: Mapping[str, str],
    spec: Train,
    target: Target,
    progress: Callable[[SearchProgress], None] | None,
) -> None:
    """The next trial, whose parameters follow from the trials that ended and the seed; tells the progress."""
    import optuna
    from optuna.trial import TrialState

    done, started = len(_ended(study)), time.monotonic()
    study.sampler = optuna.samplers.TPESampler(seed=spec.seed + done)
    if done == 0 and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(_as_they_stand(spec))
    trial = study.ask()
    parameters = _suggested(trial, spec)

    def report(step: int, loss: float) -> None:
        if step % STEPS_BETWEEN_REPORTS == 0:
            trial.report(loss, step)
            if trial.should_prune():
                raise optuna.TrialPruned

    loss = None
    try:
        loss = fit(frame, schema, spec, target, parameters=parameters, report=report).tune_loss
        study.tell(trial, loss)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except Exception:
        study.tell(trial, state=TrialState.FAIL)
        raise
    if progress and spec.search:
        state = "complete" if loss is not None else "pruned"
        seconds = time.monotonic() - started
        progress(
            SearchProgress(done + 1, spec.search.trials, state, loss, study.best_value, parameters, seconds)
        )


def _as_they_stand(spec: Train) -> dict[str, Any]:
    own = estimator_class(spec.estimator).Parameters.model_validate(spec.parameters).model_dump()
    return {name: own[name] for name in spec.search_space}


def _suggested(trial: "optuna.Trial", spec: Train) -> dict[str, Any]:
    fields = estimator_class(spec.estimator).Parameters.model_fields
    found: dict[str, Any] = {}
    for name, span in spec.search_space.items():
        match span:
            case [str(), *_]:
                found[name] = trial.suggest_categorical(name, [str(word) for word in span])
            case [float() | int() as low, float() | int() as high, *by] if fields[name].annotation is int:
                found[name] = trial.suggest_int(name, int(low), int(high), log=bool(by))
            case [float() | int() as low, float() | int() as high, *by]:
                found[name] = trial.suggest_float(name, low, high, log=bool(by))
    return found
