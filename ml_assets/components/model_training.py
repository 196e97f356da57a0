"""The assets of a model from labels to champion, one run or range of cutoffs at a time."""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import reduce
from typing import Any

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ml_assets.components.metadata import made_by, markdown_table, picture, stored
from ml_assets.components.model import Bound
from ml_assets.components.partitions import AS_ONE_RUN, as_ranges, between, window
from ml_assets.components.resources import LakeResource, MlflowResource, connection
from ml_assets.components.source import finish
from ml_assets.lake import Table
from ml_assets.landing.raw import landed_through


def assets(model: Bound) -> list[dg.AssetsDefinition]:
    """Labels, training set, candidate, evaluation and champion."""
    return [_labels(model), _training_set(model), _candidate(model), _evaluation(model), _champion(model)]


def _common(model: Bound, *kinds: str) -> dict[str, Any]:
    return {"group_name": model.name, "owners": model.spec.owners, "kinds": set(kinds)}


def _labels(model: Bound) -> dg.AssetsDefinition:
    source, spec = model.source, model.spec

    @dg.asset(
        key=model.key("labels"),
        deps=[
            dg.AssetDep(model.group.key("snapshot"), partition_mapping=window(0, 0)),
            dg.AssetDep(source.key("events"), partition_mapping=window(0, model.horizon_weeks - 1)),
        ],
        description=(
            f"What happened to the population ({spec.population}) of each cutoff in the {spec.label.days} days after "
            "it. Written once the whole horizon has landed."
        ),
        partitions_def=model.cutoffs,
        backfill_policy=AS_ONE_RUN,
        **_common(model, "deltalake", "duckdb"),
    )
    def labels(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.MaterializeResult:
        from ml_assets.training.labels import build_labels, maturity

        first, last = between(context)
        snapshot, events = model.group.snapshot(lake.lake), source.tables(lake.lake).events
        made = made_by(context, **{snapshot.name: snapshot.version, events.name: events.version})
        tables = model.tables(lake.lake)
        cutoffs = model.cutoffs_between(first, last)
        with connection(duckdb) as con:
            held = source.refused(con, lake.lake, (first, last), (0, spec.label.days - 1))
            refused = {day: why for day, why in held.items() if day in cutoffs}
            built = [cutoff for cutoff in cutoffs if cutoff not in refused]
            state = maturity(built, spec.label, landed_through(con, source.tables(lake.lake).files))
            for start, end in as_ranges(set(built), timedelta(weeks=1)):
                build_labels(
                    con,
                    snapshot.read(con, between=(start, end)),
                    events.read(con, between=(start, end + timedelta(days=spec.label.days - 1))),
                    [cutoff for cutoff in state.mature if start <= cutoff <= end],
                    entity=model.entity,
                    population=spec.population,
                    label=spec.label,
                ).create("new_labels")
                tables.labels.update(con, con.table("new_labels"), between=(start, end), metadata=made)
                con.execute("DROP TABLE new_labels")
            shown = _summary(con, tables.labels, built) if tables.labels.exists else {}
        if state.message:
            context.log.warning(state.message)
        return finish(
            context,
            refused,
            built,
            shown | {"mature cutoffs": len(state.mature), "waiting": state.message or "none"},
        )

    return labels


def _summary(con: duckdb.DuckDBPyConnection, labels: Table, cutoffs: Sequence[date]) -> dict[str, Any]:
    rows = labels.read(con, between=(min(cutoffs), max(cutoffs))) if cutoffs else labels.read(con).limit(0)
    ((count, positives),) = rows.aggregate("count(*), coalesce(sum(label), 0)").fetchall()
    return stored(con, labels) | {
        "dagster/row_count": count,
        "share of label 1": float(positives) / count if count else None,
    }


def _training_set(model: Bound) -> dg.AssetsDefinition:
    spec = model.spec
    first = -(model.horizon_weeks + spec.train.history - 1)
    past = window(first, -model.horizon_weeks)

    @dg.asset(
        key=model.key("training_set"),
        deps=[
            dg.AssetDep(model.key("labels"), partition_mapping=past),
            dg.AssetDep(model.group.key("snapshot"), partition_mapping=past),
        ],
        description=(
            f"What a candidate of the cutoff may learn from: labels of the {spec.train.history} cutoffs whose horizon "
            "had passed by then, with the features of their own as_of; train and tune lie a horizon apart."
        ),
        partitions_def=model.cutoffs,
        backfill_policy=AS_ONE_RUN,
        **_common(model, "deltalake", "duckdb"),
    )
    def training_set(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.MaterializeResult:
        from ml_assets.training.training_set import build_training_set

        tables, snapshot = model.tables(lake.lake), model.group.snapshot(lake.lake)
        made = made_by(
            context, **{snapshot.name: snapshot.version, tables.labels.name: tables.labels.version}
        )
        with connection(duckdb) as con:
            cutoffs = model.cutoffs_between(*between(context))
            sets = [
                build_training_set(con, snapshot, tables.labels, cutoff, **model.training_set_of)
                for cutoff in cutoffs
            ]
            rows = reduce(lambda all_rows, more: all_rows.union(more), [built.rows for built in sets])
            tables.training_set.replace(rows, between=between(context), metadata=made)
            shown = stored(con, tables.training_set)
            summary = [{"cutoff": c, **built.summary()} for c, built in zip(cutoffs, sets, strict=True)]
        return dg.MaterializeResult(
            metadata=shown
            | {
                "dagster/row_count": sum(int(str(s["rows"])) for s in summary),
                "cutoffs": markdown_table(summary),
            }
        )

    return training_set


def _candidate(model: Bound) -> dg.AssetsDefinition:
    @dg.asset(
        key=model.key("candidate"),
        deps=[model.key("training_set")],
        description="A model fitted on the training set of the cutoff, registered as a version; nobody uses it yet.",
        partitions_def=model.cutoffs,
        backfill_policy=AS_ONE_RUN,
        code_version=config_hash(model)[:12],
        **_common(model, "xgboost", "mlflow"),
    )
    def candidate(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource, mlflow: MlflowResource
    ) -> dg.MaterializeResult:
        from ml_assets.components.candidate import train_candidate
        from ml_assets.training.fit import NotTrainable
        from ml_assets.training.frames import FrameError

        cutoffs = model.cutoffs_between(*between(context))
        trained, refused = [], []
        with connection(duckdb) as con, mlflow.parent_run(context, model.name) as parent:
            for cutoff in cutoffs:
                try:
                    trained.append(
                        train_candidate(context, con, model, lake.lake, mlflow.registry, cutoff, parent)
                    )
                except (NotTrainable, FrameError) as error:
                    refused.append(str(error))
                    context.log.error(str(error))
                    continue
                context.log.info(f"cutoff {cutoff}: version {trained[-1].row['model_version']}")
            shown = stored(con, model.tables(lake.lake).candidate) if trained else {}
        if refused:
            done = f" The other {len(trained)} cutoffs of the run are trained." if trained else ""
            raise dg.Failure(" ".join(refused) + done, allow_retries=False)
        newest = trained[-1]
        rows = [
            {
                k: t.row[k]
                for k in (
                    "cutoff",
                    "model_version",
                    "rows",
                    "best_iteration",
                    "train_logloss",
                    "tune_logloss",
                )
            }
            for t in trained
        ]
        importance = sorted(newest.importance.items(), key=lambda item: -item[1])
        return dg.MaterializeResult(
            metadata=shown
            | {
                "candidates": markdown_table(rows),
                "model version": newest.row["model_version"],
                "MLflow run": dg.MetadataValue.url(mlflow.run_url(model.name, str(newest.row["run_id"]))),
                "importance": markdown_table([{"feature": n, "share of gain": s} for n, s in importance]),
                "fit, s": float(newest.row["fit_seconds"]),
            }
        )

    return candidate


def _evaluation(model: Bound) -> dg.AssetsDefinition:
    @dg.asset(
        key=model.key("evaluation"),
        deps=[
            model.key("candidate"),
            model.key("labels"),
            dg.AssetDep(model.group.key("snapshot"), partition_mapping=window(0, 0)),
        ],
        description=(
            "The candidate, the champion of that time and the baseline on the same holdout: the population at the "
            "cutoff, with labels from after everything any of them has seen. Ends in a decision record."
        ),
        partitions_def=model.cutoffs,
        backfill_policy=AS_ONE_RUN,
        **_common(model, "scikitlearn", "mlflow"),
    )
    def evaluation(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource, mlflow: MlflowResource
    ) -> dg.MaterializeResult:
        from ml_assets.components.judge import evaluate_cutoff
        from ml_assets.evaluation.plots import evaluation_plot, walk_forward_plot

        with connection(duckdb) as con:
            judged = [
                evaluate_cutoff(context, con, model, lake.lake, mlflow.registry, cutoff)
                for cutoff in model.cutoffs_between(*between(context))
            ]
            shown = stored(con, model.tables(lake.lake).evaluation)
        newest = judged[-1]
        metadata: dict[str, Any] = shown | {
            "decision": "passed" if newest.decision.passed else "refused",
            "gates": markdown_table(newest.gate_rows),
            "walk-forward": markdown_table([row for j in judged for row in j.metric_rows]),
            "slices": markdown_table(newest.slice_rows),
            "report": dg.MetadataValue.url(
                mlflow.run_url(model.name, newest.run_id, "evaluation/report.html")
            ),
        }
        if newest.can_be_drawn:
            metadata["ROC, precision and recall, calibration"] = picture(
                evaluation_plot(newest.holdout), "evaluation"
            )
        if len(judged) > 1:
            metadata["AUC by cutoff"] = picture(
                walk_forward_plot([r for j in judged for r in j.metric_rows]), "AUC"
            )
        return dg.MaterializeResult(metadata=metadata)

    return evaluation


def _champion(model: Bound) -> dg.AssetsDefinition:
    @dg.asset(
        key=model.key("champion"),
        deps=[dg.AssetDep(model.key("evaluation"), partition_mapping=dg.AllPartitionMapping())],
        description=(
            "The version in use: the MLflow alias `champion`. Materializing it reads the decision records again and "
            "promotes, in the order of cutoffs, only versions whose own evidence passed against the champion of their "
            "turn. Every move is a line in the promotion log."
        ),
        **_common(model, "mlflow"),
    )
    def champion(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource, mlflow: MlflowResource
    ) -> dg.MaterializeResult:
        from ml_assets.registry.promotion import promote

        tables = model.tables(lake.lake)
        with connection(duckdb) as con:
            outcome = promote(
                con,
                mlflow.registry,
                tables.decisions,
                tables.promotions,
                model=model.name,
                who=context.run.tags.get("dagster/sensor_name") or context.run.tags.get("user") or "dagster",
                run=context.run.run_id,
            )
        if outcome.refused_newest:
            raise dg.Failure(outcome.refused_newest, allow_retries=False)
        assert outcome.champion is not None
        return dg.MaterializeResult(
            metadata={
                "model version": outcome.champion.number,
                "cutoff": str(outcome.champion.cutoff),
                "promoted now": ", ".join(str(v.version) for v in outcome.plan.promote) or "none",
                "refused": markdown_table(
                    [
                        {"cutoff": v.cutoff, "version": v.version, "reason": why}
                        for v, why in outcome.plan.refuse
                    ]
                ),
                "MLflow run": dg.MetadataValue.url(mlflow.run_url(model.name, outcome.champion.run_id)),
            }
        )

    return champion


def config_hash(model: Bound) -> str:
    """SHA-256 of everything in YAML that decides a model: its own spec and its features."""
    import hashlib
    import json

    facts: Sequence[Any] = [
        model.spec.population,
        model.spec.label.model_dump(),
        model.spec.cutoffs.model_dump(mode="json"),
        model.spec.train.model_dump(),
        model.spec.baseline,
        [
            feature.model_dump(exclude={"means", "owner", "expect", "example"}, exclude_none=True)
            for feature in model.group.features.features
        ],
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
