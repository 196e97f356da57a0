"""Train the candidate of one cutoff and put everything that made it on record."""

import json
import time
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb

from ml_assets.components.metadata import made_by
from ml_assets.components.model import Bound, ModelTables
from ml_assets.components.model_training import config_hash
from ml_assets.lake import Lake, content_hash, records
from ml_assets.training import Train
from ml_assets.training.provenance import code_facts

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.registry import Registry
    from ml_assets.training.fit import Fitted

CHECKED_ROWS = 50
"""How many tune rows have their scores kept, to compare with those of the model read back."""

CANDIDATE_COLUMNS = {
    "cutoff": "DATE",
    "model_version": "BIGINT",
    "run_id": "VARCHAR",
    "training_set": "VARCHAR",
    "rows": "BIGINT",
    "best_iteration": "BIGINT",
    "train_logloss": "DOUBLE",
    "tune_logloss": "DOUBLE",
    "baseline": "VARCHAR",
    "checked_scores": "DOUBLE[]",
    "fit_seconds": "DOUBLE",
}


@dataclass(frozen=True)
class Trained:
    """A candidate on record."""

    row: dict[str, Any]
    importance: dict[str, float]


def train_candidate(
    context: dg.AssetExecutionContext,
    con: duckdb.DuckDBPyConnection,
    model: Bound,
    lake: Lake,
    registry: "Registry",
    cutoff: date,
    parent: str,
) -> Trained:
    """Fit, log to MLflow as a nested run, register a version, store the training profile and the record.

    Raises NotTrainable or FrameError, in words, if the training set allows no model.
    """
    from ml_assets.training.fit import check_trainable, fit, fit_baseline, score
    from ml_assets.training.frames import check_frame, to_matrix

    tables, schema, spec = model.tables(lake), model.group.feature_types, model.spec
    rows = tables.training_set.read(con, between=(cutoff, cutoff))
    digest = content_hash(rows, ["as_of", *model.entity])
    frame = rows.order(f"as_of, {model.entity}").df()
    check_trainable(frame, cutoff)
    frame = check_frame(frame, schema, entity=model.entity, labelled=True)
    tags = _tags(context, model, tables, cutoff, digest)
    with registry.run(model.name, f"{model.name} {cutoff}", tags, parent) as run_id:
        started = time.perf_counter()
        fitted = fit(frame, schema, spec.train)
        seconds = time.perf_counter() - started
        _log_fit(spec.train, fitted)
        _log_dataset(frame, digest, tables.training_set.uri)
        example = to_matrix(frame.head(5), list(schema), fitted.categories)
        version = registry.log_booster(model.name, fitted.booster, example, tags)
    tune = frame[frame["split"] == "tune"].head(CHECKED_ROWS)
    row = {
        "cutoff": cutoff,
        "model_version": version.number,
        "run_id": run_id,
        "training_set": digest,
        "rows": len(frame),
        "best_iteration": fitted.best_iteration,
        "train_logloss": fitted.curves["train"][fitted.best_iteration],
        "tune_logloss": fitted.curves["tune"][fitted.best_iteration],
        "baseline": fit_baseline(frame, spec.baseline).to_json(),
        "checked_scores": [float(s) for s in score(fitted.booster, tune)],
        "fit_seconds": round(seconds, 3),
    }
    made = made_by(context, **{tables.training_set.name: tables.training_set.version})
    profile = _profile(con, model, frame, fitted, version.number).select(f"*, DATE '{cutoff}' AS cutoff")
    tables.profiles.replace(profile, between=(cutoff, cutoff), metadata=made)
    tables.candidate.replace(records(con, [row], CANDIDATE_COLUMNS), between=(cutoff, cutoff), metadata=made)
    return Trained(row, fitted.importance)


def _tags(
    context: dg.AssetExecutionContext, model: Bound, tables: ModelTables, cutoff: date, digest: str
) -> dict[str, str]:
    """What decided the model, for the tags of its MLflow run and version."""
    return {
        "cutoff": str(cutoff),
        "training_set": digest,
        "config": config_hash(model),
        "seed": str(model.spec.train.seed),
        "inputs": json.dumps({tables.training_set.name: tables.training_set.version}),
        "dagster_run": context.run.run_id,
        **code_facts(),
        **{key: value for key, value in context.run.tags.items() if key.startswith("ml_assets/")},
    }


def _log_fit(spec: Train, fitted: "Fitted") -> None:
    """Parameters, loss curves and importance, to the active MLflow run."""
    import mlflow

    from ml_assets.training.fit import parameters

    mlflow.log_params({**parameters(spec), "history": spec.history, "tune": spec.tune})
    curves = zip(fitted.curves["train"], fitted.curves["tune"], strict=True)
    for step, (train_loss, tune_loss) in enumerate(curves):
        if step % 10 == 0 or step == fitted.best_iteration:
            mlflow.log_metrics({"train_logloss": train_loss, "tune_logloss": tune_loss}, step=step)
    mlflow.log_dict(dict(sorted(fitted.importance.items(), key=lambda item: -item[1])), "importance.json")


def _profile(
    con: duckdb.DuckDBPyConnection, model: Bound, frame: "pd.DataFrame", fitted: "Fitted", version: int
) -> duckdb.DuckDBPyRelation:
    """The training profile of features and scores, as rows to store."""
    from ml_assets.monitoring.profile import build_profile, profile_rows
    from ml_assets.training.fit import score

    profiles = build_profile(
        con,
        con.from_df(frame.assign(score=score(fitted.booster, frame))),
        numeric=[c for c in model.group.feature_types if c not in fitted.categories] + ["score"],
        categorical=list(fitted.categories),
        block="as_of",
        weights=fitted.importance,
        floor=model.spec.drift.floor,
        seed=model.spec.train.seed,
    )
    return con.from_arrow(profile_rows(profiles, version))


def _log_dataset(frame: "pd.DataFrame", digest: str, uri: str) -> None:
    """Tie the MLflow run to the rows it was fitted on and tuned on, by the lake's own content hash."""
    import mlflow
    from mlflow.data.pandas_dataset import from_pandas

    for split in ("train", "tune"):
        rows = frame[frame["split"] == split].drop(columns=["split", "as_of", "cutoff"])
        dataset = from_pandas(rows, source=uri, targets="label", name=split, digest=f"{digest[:24]}-{split}")
        mlflow.log_input(dataset, context=split)
