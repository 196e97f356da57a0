"""Train the candidate of one cutoff and put everything that made it on record."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from ml_assets.instance.progress import counted
from ml_assets.lake import Lake, content_hash, records
from ml_assets.lake.hashes import ROWS, on_record
from ml_assets.monitoring.measure.profile import FeatureProfile, build_profile, profile_rows
from ml_assets.pipeline.definitions import check_made_by, of_training
from ml_assets.pipeline.run import CannotRun, Run
from ml_assets.project.model import DeclaredModel
from ml_assets.project.tables import ModelTables
from ml_assets.registry.pins import as_tags
from ml_assets.training.provenance import code_facts, machine_facts
from ml_assets.training.tables import CANDIDATE

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.registry.mlflow_registry import Registry
    from ml_assets.registry.trial import TrialProcess
    from ml_assets.training.fit import Fitted
    from ml_assets.training.importance import Importance
    from ml_assets.training.search import Found

CHECKED_ROWS = 50
"""How many tune rows have their scores kept, to compare with those of the model read back."""


@dataclass(frozen=True)
class Trained:
    """A candidate on record."""

    row: dict[str, Any]
    importance: "Importance"
    found: "Found | None"


@dataclass(frozen=True)
class Workplace:
    """Where and by what a candidate is trained."""

    run: Run
    con: duckdb.DuckDBPyConnection
    model: DeclaredModel
    lake: Lake
    registry: "Registry"
    folder: Path
    """Where searches and checkpoints are kept, to go on from there after a kill."""

    @property
    def tables(self) -> ModelTables:
        """The model's tables."""
        return self.model.tables(self.lake)


def train_candidates(place: Workplace, cutoffs: Sequence[date], parent: Callable[[], str]) -> list[Trained]:
    """Train the candidate of every cutoff, in order, below an MLflow run that ``parent`` opens for the first fitted.

    A cutoff whose training set allows no model costs the others nothing: then CannotRun is raised at the end, in words.
    """
    from ml_assets.registry.trial import trial_process
    from ml_assets.training.fit import NotTrainable
    from ml_assets.training.frames import FrameError

    trained: list[Trained] = []
    refused: list[str] = []
    with trial_process(sys.path) as trials:
        for cutoff in counted(cutoffs, "cutoffs"):
            try:
                trained.append(train_candidate(place, trials, cutoff, parent))
            except (NotTrainable, FrameError, CannotRun) as error:
                refused.append(str(error))
                place.run.log.error(str(error))
                continue
            place.run.log.info(f"cutoff {cutoff}: version {trained[-1].row['model_version']}")
    if refused:
        done = f" The other {len(trained)} cutoffs of the run are trained." if trained else ""
        raise CannotRun(" ".join(refused) + done)
    return trained


def train_candidate(
    place: Workplace, trials: "TrialProcess", cutoff: date, parent: Callable[[], str]
) -> Trained:
    """Search, fit, log to MLflow as a nested run, register a version, store the training profile and the record.

    Raises NotTrainable, FrameError or CannotRun, in words, if the training set allows no model.
    """
    from ml_assets.training.baseline import fit_baseline
    from ml_assets.training.fit import NotTrainable, check_trainable
    from ml_assets.training.frames import check_frame, usable_rows
    from ml_assets.training.importance import importance_of

    model, tables = place.model, place.tables
    schema, spec, target = model.group.feature_types, model.spec, model.spec.label.target
    if cutoff not in tables.training_set.marks():
        raise NotTrainable(
            f"There is no training set of cutoff {cutoff}: materialize {tables.training_set.name} of that partition first."
        )
    check_made_by(of_training(model), tables.training_set, [cutoff])
    rows = tables.training_set.read(place.con, between=(cutoff, cutoff))
    digest = content_hash(rows, ["as_of", *model.row_key])
    frame = rows.order(f"as_of, {model.row_key}").df()
    frame, unusable = usable_rows(frame, schema, entity=model.row_key)
    for said in unusable:
        place.run.log.warning(said)
    check_trainable(frame, cutoff, target)
    frame = check_frame(frame, schema, entity=model.row_key, target=target)
    tune = frame[frame["split"] == "tune"]
    found, fitted = _fitted(place, frame, f"{cutoff}_{model.config[:12]}_{digest[:12]}")
    importance = importance_of(fitted.predictor, tune, target)
    tags = _tags(place, cutoff, digest, fitted, found)
    with place.registry.run(model.name, f"{model.name} {cutoff}", tags, parent()) as run_id:
        _log(place.registry, spec.train.history, fitted, importance, found)
        for split in ("train", "tune"):
            place.registry.log_dataset(
                run_id,
                schema,
                rows=int((frame["split"] == split).sum()),
                name=split,
                digest=f"{digest[:24]}-{split}",
                source=tables.training_set.uri,
            )
        example = frame[list(schema)].head(5)
        learnt = tables.training_set.made(cutoff).provenance.definitions
        pinned = as_tags(learnt, model.group.features.features)
        version = place.registry.log_model(
            model.name, fitted.predictor, example, tags | pinned, trials, after=_last_number(place)
        )
    row = {
        "cutoff": cutoff,
        "model_version": version.number,
        "run_id": run_id,
        "training_set": tags["training_set"],
        "rows": len(frame),
        "rounds": fitted.rounds,
        "train_loss": fitted.train_loss,
        "tune_loss": fitted.tune_loss,
        "baseline": fit_baseline(frame, spec.baseline, target).to_json(),
        "checked_scores": [float(s) for s in fitted.predictor.score(tune.head(CHECKED_ROWS)).expected],
        "parameters": tags["parameters"],
        "importance": json.dumps(importance.shares),
        "trials": ended(found),
        "search_seconds": round(found.seconds, 3) if found else 0.0,
        "fit_seconds": round(fitted.seconds, 3),
    }
    made = place.run.made(tables.training_set).following(learnt)
    profile = profile_rows(
        place.con, _profile(place, frame, fitted, importance), version=version.number, cutoff=cutoff
    )
    made = made.saying(model_version=str(version.number))
    tables.profiles.append(profile, provenance=made, about=[cutoff])
    tables.candidate.append(records(place.con, [row], CANDIDATE.types), provenance=made, about=[cutoff])
    return Trained(row, importance, found)


def _last_number(place: Workplace) -> int:
    """The highest number that any version on record has."""
    tables = place.tables
    named = [(tables.profiles, "model_version"), (tables.promotions, "to_version")]
    highest = [
        table.read(place.con, columns=[column]).aggregate(f"max({column})").fetchall()[0][0]
        for table, column in named
        if table.exists
    ]
    return max((number for number in highest if number is not None), default=0)


def _fitted(place: Workplace, frame: "pd.DataFrame", name: str) -> "tuple[Found | None, Fitted]":
    """The search, if there is to be one, and the fit with what it found."""
    from ml_assets.training.fit import fit
    from ml_assets.training.search import SearchProgress, search

    model = place.model
    schema, train, target = model.group.feature_types, model.spec.train, model.spec.label.target
    found = None
    if train.search is not None:

        def tell(progress: SearchProgress) -> None:
            loss = "pruned" if progress.loss is None else f"loss {progress.loss:.5g}"
            place.run.log.info(
                f"search of {name}: trial {progress.trial} of {progress.of}, {loss}, best {progress.best:.5g}, "
                f"{progress.seconds:.1f} s"
            )

        found = search(
            frame, schema, train, target, storage=place.folder / "searches", name=name, progress=tell
        )
    checkpoint = place.folder / "checkpoints" / name
    fitted = fit(
        frame,
        schema,
        train,
        target,
        parameters=found.parameters if found else None,
        checkpoint=checkpoint,
    )
    shutil.rmtree(checkpoint, ignore_errors=True)
    return found, fitted


def ended(found: "Found | None") -> int:
    """How many trials a search has, those of a killed process left out."""
    return sum(number for state, number in found.trials.items() if state != "fail") if found else 0


def _tags(
    place: Workplace, cutoff: date, digest: str, fitted: "Fitted", found: "Found | None"
) -> dict[str, str]:
    """What decided the model, for the tags of its MLflow run and version."""
    model, stored = place.model, place.tables.training_set
    train, tags = model.spec.train, place.run.tags
    return {
        "cutoff": str(cutoff),
        "training_set": on_record(digest, ROWS),
        "config": model.config,
        "target": model.spec.label.target.kind,
        "estimator": train.estimator,
        "parameters": fitted.predictor.estimator.parameters.model_dump_json(),
        "seed": str(train.seed),
        "inputs": json.dumps({stored.name: stored.version, **stored.made(cutoff).inputs}),
        **({"search": json.dumps(found.trials)} if found else {}),
        "dagster_run": place.run.id,
        "machine": json.dumps(machine_facts()),
        **code_facts(),
        **{key: value for key, value in tags.items() if key.startswith("ml_assets/")},
    }


def _log(
    registry: "Registry", history: int, fitted: "Fitted", importance: "Importance", found: "Found | None"
) -> None:
    """Parameters, loss curves, importance and the search's plots, to the active MLflow run."""
    import mlflow
    from mlflow.entities import Metric

    from ml_assets.evaluation.plots import importance_plot
    from ml_assets.training.search_plots import search_plots

    mlflow.log_params(fitted.predictor.estimator.parameters.model_dump() | {"history": history})
    active = mlflow.active_run()
    assert active is not None
    points = [
        Metric(f"{split}_loss_by_round", loss, 0, step)
        for split, losses in fitted.curves.items()
        for step, loss in enumerate(losses)
    ]
    client = mlflow.MlflowClient()
    for start in range(0, len(points), 1000):
        client.log_batch(active.info.run_id, metrics=points[start : start + 1000])
    mlflow.log_metrics({"train_loss": fitted.train_loss, "tune_loss": fitted.tune_loss})
    mlflow.log_dict(dict(sorted(importance.shares.items(), key=lambda item: -item[1])), "importance.json")
    pictures = {"importance.png": importance_plot(importance.shares)}
    if found:
        pictures |= {f"search/{name}.png": png for name, png in search_plots(found.study).items()}
    registry.log_files(active.info.run_id, pictures)


def _profile(
    place: Workplace, frame: "pd.DataFrame", fitted: "Fitted", importance: "Importance"
) -> list[FeatureProfile]:
    """The training profile of features, score and volume."""
    model = place.model
    types = model.group.feature_types
    numeric = [c for c, kind in types.items() if kind not in ("VARCHAR", "BOOLEAN")]
    return build_profile(
        place.con,
        place.con.from_df(frame.assign(score=fitted.scores.expected)),
        numeric=[*numeric, "score"],
        categorical=[c for c in types if c not in numeric],
        block="as_of",
        weights=importance.shares,
        psi_floor=model.spec.monitoring.psi_floor,
        shift_floor=model.spec.monitoring.shift_floor,
        volume=model.spec.train.after_each is None,
    )
