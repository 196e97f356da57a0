"""The assets of a model from labels to champion, one run or range of cutoffs at a time."""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ml_assets.components.model.component import Bound
from ml_assets.components.shared.metadata import made_by, markdown_table, picture, stored
from ml_assets.components.shared.partitions import AS_ONE_RUN, between, window
from ml_assets.components.shared.resources import LakeResource, MlflowResource, TrainingResource, connection
from ml_assets.components.shared.results import finish
from ml_assets.lake import Table, as_ranges
from ml_assets.landing.raw import landed_through

if TYPE_CHECKING:
    from ml_assets.pipeline.steps.candidate import Trained


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
                tables.labels.update(con, con.table("new_labels"), between=(start, end), provenance=made)
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
    ((count, mean),) = rows.aggregate("count(*), avg(label)").fetchall()
    return stored(con, labels) | {"dagster/row_count": count, "mean label": mean}


def _training_set(model: Bound) -> dg.AssetsDefinition:
    spec = model.spec
    first = -(model.horizon_weeks + spec.train.history - 1)
    past = window(first, -model.horizon_weeks)
    at_moments = [
        dg.AssetDep(key, partition_mapping=window(first - 1, -1))
        for key in (
            model.group.key("tiles"),
            *(source.key("events") for source in model.group.sources.values()),
        )
        if spec.train.after_each
    ]
    trained = (
        f" Train has a row right after each event with {spec.train.after_each}."
        if spec.train.after_each
        else ""
    )

    @dg.asset(
        key=model.key("training_set"),
        deps=[
            dg.AssetDep(model.key("labels"), partition_mapping=past),
            dg.AssetDep(model.group.key("snapshot"), partition_mapping=past),
            *at_moments,
        ],
        description=(
            f"What a candidate of the cutoff may learn from: labels of the {spec.train.history} cutoffs whose horizon "
            f"had passed by then, with the features of their own as_of; train and tune lie a horizon apart.{trained}"
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
        read = [snapshot, tables.labels]
        if spec.train.after_each:
            read += [model.group.tiles(lake.lake), *model.group.events(lake.lake).values()]
        made = made_by(context, **{table.name: table.version for table in read})
        with connection(duckdb) as con:
            cutoffs = model.cutoffs_between(*between(context))
            sets, seconds = [], []
            for cutoff in cutoffs:
                started = time.perf_counter()
                sets.append(
                    build_training_set(
                        con, snapshot, tables.labels, cutoff, **model.training_set_of(lake.lake)
                    )
                )
                seconds.append(round(time.perf_counter() - started, 2))
            rows = reduce(lambda all_rows, more: all_rows.union(more), [built.rows for built in sets])
            tables.training_set.replace(rows, between=between(context), provenance=made)
            shown = stored(con, tables.training_set)
            summary = [
                {"cutoff": c, **built.summary(), "s": s}
                for c, built, s in zip(cutoffs, sets, seconds, strict=True)
            ]
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
        **_common(model, _kind(model), "mlflow"),
    )
    def candidate(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        duckdb: DuckDBResource,
        mlflow: MlflowResource,
        training: TrainingResource,
    ) -> dg.MaterializeResult:
        from ml_assets.evaluation.plots import importance_plot
        from ml_assets.pipeline.steps.candidate import Workplace, train_candidate
        from ml_assets.training.fit import NotTrainable
        from ml_assets.training.frames import FrameError

        cutoffs = model.cutoffs_between(*between(context))
        trained, refused = [], []
        with connection(duckdb) as con, mlflow.parent_run(context, model.name) as parent:
            place = Workplace(context, con, model, lake.lake, mlflow.registry, training.of(model.name))
            for cutoff in cutoffs:
                try:
                    trained.append(train_candidate(place, cutoff, parent))
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
        rows = [{name: t.row[name] for name in SHOWN_OF_CANDIDATES} for t in trained]
        shares = sorted(newest.importance.shares.items(), key=lambda item: -item[1])
        return dg.MaterializeResult(
            metadata=shown
            | {
                "candidates": markdown_table(rows),
                "model version": newest.row["model_version"],
                "MLflow run": dg.MetadataValue.url(mlflow.run_url(model.name, str(newest.row["run_id"]))),
                "parameters": dg.MetadataValue.json(json.loads(str(newest.row["parameters"]))),
                "importance": markdown_table(
                    [{"feature": n, newest.importance.method: s} for n, s in shares]
                ),
                "importance of features": picture(importance_plot(newest.importance.shares), "importance"),
                "fit, s": float(newest.row["fit_seconds"]),
            }
            | _search_metadata(newest)
            | called_for_by(model, context.run.tags)
        )

    return candidate


def called_for_by(model: Bound, tags: Mapping[str, str]) -> dict[str, Any]:
    """What the run was started for, with a link to the asset that has the evidence; nothing for a run by hand."""
    why, evidence = tags.get("ml_assets/why"), tags.get("ml_assets/evidence")
    found: dict[str, Any] = {} if why is None else {"why it was trained": why}
    if evidence is None:
        return found
    asset = "performance" if tags.get("ml_assets/trigger") == "performance" else "drift"
    name = f"evidence {evidence}, as of {tags['ml_assets/evidence_as_of']}"
    return found | {name: dg.MetadataValue.asset(model.key(asset))}


SHOWN_OF_CANDIDATES = (
    "cutoff",
    "model_version",
    "rows",
    "rounds",
    "train_loss",
    "tune_loss",
    "trials",
    "search_seconds",
    "fit_seconds",
)


def _search_metadata(trained: "Trained") -> dict[str, Any]:
    """The search's plots and time; nothing without a search."""
    if trained.found is None:
        return {}
    from ml_assets.training.search_plots import search_plots

    plots = {f"search: {name}": picture(png, name) for name, png in search_plots(trained.found.study).items()}
    return plots | {"search, s": round(trained.found.seconds, 1), "trials": trained.row["trials"]}


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
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        duckdb: DuckDBResource,
        mlflow: MlflowResource,
        training: TrainingResource,
    ) -> dg.MaterializeResult:
        from ml_assets.evaluation.plots import pictures, walk_forward_plot
        from ml_assets.evaluation.spec import METRIC_NAMES
        from ml_assets.pipeline.steps.candidate import Workplace
        from ml_assets.pipeline.steps.evaluation import NoCandidate, evaluate_cutoff
        from ml_assets.registry.trial import trial_process

        target = model.spec.label.target
        with connection(duckdb) as con, trial_process() as trials:
            place = Workplace(context, con, model, lake.lake, mlflow.registry, training.of(model.name))
            try:
                judged = [
                    evaluate_cutoff(place, trials, cutoff)
                    for cutoff in model.cutoffs_between(*between(context))
                ]
            except NoCandidate as error:
                raise dg.Failure(str(error), allow_retries=False) from error
            shown = stored(con, model.tables(lake.lake).evaluation)
        newest, rows = judged[-1], [row for one in judged for row in one.metric_rows]
        metadata: dict[str, Any] = shown | {
            "decision": "passed" if newest.decision.passed else "refused",
            "gates": markdown_table(newest.gate_rows),
            "walk-forward": markdown_table(rows),
            "slices": markdown_table(newest.slice_rows),
            "report": dg.MetadataValue.url(
                mlflow.run_url(model.name, newest.run_id, "evaluation/report.html")
            ),
            "seconds": round(sum(one.seconds for one in judged), 1),
        }
        measured = newest.measured
        if measured.problem is None:
            plots = pictures(target, measured.labels, measured.said)
            metadata |= {name: picture(png, name) for name, png in plots.items()}
        if len(judged) > 1:
            metric = model.spec.gates.metric_of(target)
            by_cutoff = f"{METRIC_NAMES[metric]} by cutoff"
            metadata[by_cutoff] = picture(walk_forward_plot(rows, {metric: by_cutoff}), by_cutoff)
        return dg.MaterializeResult(metadata=metadata)

    return evaluation


def _champion(model: Bound) -> dg.AssetsDefinition:
    approved = (
        " A version that passed waits, with the alias `challenger`, until somebody runs `ml-assets models approve`."
        if model.spec.approval == "manual"
        else ""
    )

    @dg.asset(
        key=model.key("champion"),
        deps=[dg.AssetDep(model.key("evaluation"), partition_mapping=dg.AllPartitionMapping())],
        description=(
            "The version in use, by the promotion log; the MLflow alias `champion` follows it. Materializing it reads the "
            "decision records again and promotes, in the order of cutoffs, only versions whose own evidence still holds and "
            f"passed against the champion of their turn. Every move is a line in the promotion log.{approved}"
        ),
        **_common(model, "mlflow"),
    )
    def champion(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource, mlflow: MlflowResource
    ) -> dg.MaterializeResult:
        from ml_assets.components.model.promotions import materialization
        from ml_assets.registry.promotion import promote

        with connection(duckdb) as con:
            book = model.book(con, lake.lake, mlflow.registry)
            outcome = promote(
                book,
                who=context.run.tags.get("dagster/sensor_name") or context.run.tags.get("user") or "dagster",
                run=context.run.run_id,
            )
            moves = book.log().moves
        for note in outcome.notes:
            context.log.warning(note)
        waits = outcome.challenger
        if outcome.refused_newest and waits is None:
            raise dg.Failure(outcome.refused_newest, allow_retries=False)
        if waits is not None:
            context.log.warning(
                f"version {waits.number} waits for approval: ml-assets models approve {model.name}"
            )
        now = outcome.champion
        context.log_event(materialization(model, lake.lake, moves))
        overridden = [move for move in moves if move.action == "override"]
        return dg.MaterializeResult(
            metadata={
                "model version": now.number if now else "none",
                "cutoff": str(now.cutoff) if now else "none",
                "promoted now": ", ".join(str(v.version) for v in outcome.plan.promote) or "none",
                "waits for approval": waits.number if waits else "none",
                "refused": markdown_table(
                    [
                        {"cutoff": v.cutoff, "version": v.version, "reason": why}
                        for v, why in outcome.plan.refuse
                    ]
                ),
                "overrides": "; ".join(move.in_words() for move in overridden) or "none",
                **(
                    {
                        "MLflow run": dg.MetadataValue.url(mlflow.run_url(model.name, now.run_id)),
                        "trained by run": dg.MetadataValue.dagster_run(now.tags["dagster_run"]),
                        "why it was trained": now.tags.get("ml_assets/why", "materialized by hand"),
                    }
                    if now
                    else {}
                ),
            }
        )

    return champion


def _kind(model: Bound) -> str:
    return "xgboost" if model.spec.train.estimator == "xgboost" else "scikitlearn"


def config_hash(model: Bound) -> str:
    """SHA-256 of everything in YAML that decides a model: its own spec and its features."""
    import hashlib

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
