"""The assets of a model from labels to champion, one run or range of cutoffs at a time."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.metadata import declared, markdown_table, picture, stored
from ml_assets.components.shared.partitions import AS_ONE_RUN, between, partitions_of, window
from ml_assets.components.shared.resources import LakeResource, MlflowResource, TrainingResource, connection
from ml_assets.components.shared.results import finish, finite, numbers_of, tell
from ml_assets.components.shared.runs import failing, run_of
from ml_assets.instance.progress import counted
from ml_assets.pipeline.book import book_of
from ml_assets.pipeline.steps.labels import gather_training_sets, label_cutoffs
from ml_assets.project.model import DeclaredModel

if TYPE_CHECKING:
    from ml_assets.pipeline.steps.candidate import Trained
    from ml_assets.pipeline.steps.evaluation import Judged


def assets(model: DeclaredModel) -> list[dg.AssetsDefinition]:
    """Labels, training set, candidate, evaluation and champion."""
    return [_labels(model), _training_set(model), _candidate(model), _evaluation(model), _champion(model)]


def _common(model: DeclaredModel, *kinds: str) -> dict[str, Any]:
    return {"group_name": model.name, "owners": model.spec.owners, "kinds": set(kinds)}


def _labels(model: DeclaredModel) -> dg.AssetsDefinition:
    source, spec = model.source, model.spec

    @dg.asset(
        key=key_of(model, "labels"),
        deps=[
            dg.AssetDep(key_of(model.group, "snapshot"), partition_mapping=window(0, 0)),
            dg.AssetDep(key_of(source, "events"), partition_mapping=window(0, model.horizon_weeks - 1)),
        ],
        description=(
            f"What happened to the population ({spec.population}) of each cutoff in the {spec.label.days} days after "
            "it. Written once the whole horizon has landed."
        ),
        partitions_def=partitions_of(model.cutoffs),
        backfill_policy=AS_ONE_RUN,
        metadata=declared(model.schemas["labels"]),
        **_common(model, "deltalake", "duckdb"),
    )
    def labels(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.MaterializeResult:
        table = model.tables(lake.lake).labels
        with connection(duckdb) as con:
            done = label_cutoffs(con, run_of(context), model, lake.lake, between(context))
            numbers = numbers_of(con, table, done.cutoffs, {_mean_label(model): "avg(label)"})
        waiting = done.maturity.message or "its labels are not mature"
        each = {
            cutoff: numbers.get(cutoff, {}) | {"waiting": "no" if cutoff in done.maturity.mature else waiting}
            for cutoff in done.cutoffs
        }
        return finish(context, done.refused, done.cutoffs, each, stored(table, model.schemas["labels"]))

    return labels


def _mean_label(model: DeclaredModel) -> str:
    """What the mean of the labels is called."""
    return "positive_rate" if model.spec.label.target.kind == "binary" else "mean_label"


def _training_set(model: DeclaredModel) -> dg.AssetsDefinition:
    spec = model.spec
    first = -(model.horizon_weeks + spec.train.history - 1)
    past = window(first, -model.horizon_weeks)
    at_moments = [
        dg.AssetDep(key, partition_mapping=window(first - 1, -1))
        for key in (
            key_of(model.group, "tiles"),
            *(key_of(source, "events") for source in model.group.sources.values()),
        )
        if spec.train.after_each
    ]
    trained = (
        f" Train has a row right after each event with {spec.train.after_each}."
        if spec.train.after_each
        else ""
    )

    @dg.asset(
        key=key_of(model, "training_set"),
        deps=[
            dg.AssetDep(key_of(model, "labels"), partition_mapping=past),
            dg.AssetDep(key_of(model.group, "snapshot"), partition_mapping=past),
            *at_moments,
        ],
        description=(
            f"What a candidate of the cutoff may learn from: labels of the {spec.train.history} cutoffs whose horizon "
            f"had passed by then, with the features of their own as_of; train and tune lie a horizon apart.{trained}"
        ),
        partitions_def=partitions_of(model.cutoffs),
        backfill_policy=AS_ONE_RUN,
        metadata=declared(model.schemas["training_set"]),
        **_common(model, "deltalake", "duckdb"),
    )
    def training_set(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.MaterializeResult:
        table = model.tables(lake.lake).training_set
        with connection(duckdb) as con, failing():
            gathered = gather_training_sets(con, run_of(context), model, lake.lake, between(context))
            cutoffs = [one.cutoff for one in gathered]
            numbers = numbers_of(con, table, cutoffs, {_mean_label(model): "avg(label)"})
            tell(context, {one.cutoff: one.summary() | numbers[one.cutoff] for one in gathered})
        return dg.MaterializeResult(metadata=stored(table, model.schemas["training_set"]))

    return training_set


def _candidate(model: DeclaredModel) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(model, "candidate"),
        deps=[key_of(model, "training_set")],
        description="A model fitted on the training set of the cutoff, registered as a version; nobody uses it yet.",
        partitions_def=partitions_of(model.cutoffs),
        backfill_policy=AS_ONE_RUN,
        code_version=model.config[:12],
        metadata=declared(model.schemas["candidate"]),
        **_common(model, _kind(model), "mlflow"),
    )
    def candidate(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        duckdb: DuckDBResource,
        mlflow: MlflowResource,
        training: TrainingResource,
    ) -> dg.MaterializeResult:
        from ml_assets.pipeline.steps.candidate import Workplace, train_candidates

        with connection(duckdb) as con, failing(), ExitStack() as opened:
            parent = cache(lambda: opened.enter_context(mlflow.parent_run(context, model.name)))
            place = Workplace(
                run_of(context), con, model, lake.lake, mlflow.registry, training.of(model.name)
            )
            trained = train_candidates(place, model.cutoffs.between(*between(context)), parent)
            shown = stored(model.tables(lake.lake).candidate, model.schemas["candidate"])
        tell(context, {one.row["cutoff"]: _candidate_metadata(model, mlflow, one) for one in trained})
        return dg.MaterializeResult(metadata=shown | called_for_by(model, context.run.tags))

    return candidate


def _candidate_metadata(model: DeclaredModel, mlflow: MlflowResource, trained: "Trained") -> dict[str, Any]:
    """What the candidate of one cutoff is, and what its search tried."""
    from ml_assets.evaluation.plots import importance_plot

    row, importance = trained.row, trained.importance
    shares = sorted(importance.shares.items(), key=lambda item: -item[1])
    return {
        **finite({name: row[name] for name in NUMBERS_OF_CANDIDATES}),
        "MLflow run": dg.MetadataValue.url(mlflow.run_url(model.name, str(row["run_id"]))),
        "parameters": dg.MetadataValue.json(json.loads(str(row["parameters"]))),
        "importance": markdown_table([{"feature": n, importance.method: share} for n, share in shares]),
        "importance of features": picture(importance_plot(importance.shares), "importance"),
        **_search_plots(trained),
    }


def called_for_by(model: DeclaredModel, tags: Mapping[str, str]) -> dict[str, Any]:
    """What the run was started for, with a link to the asset that has the evidence; nothing for a run by hand."""
    why, evidence = tags.get("ml_assets/why"), tags.get("ml_assets/evidence")
    found: dict[str, Any] = {} if why is None else {"why it was trained": why}
    if evidence is None:
        return found
    asset = "performance" if tags.get("ml_assets/trigger") == "performance" else "drift"
    name = f"evidence {evidence}, as of {tags['ml_assets/evidence_as_of']}"
    return found | {name: dg.MetadataValue.asset(key_of(model, asset))}


NUMBERS_OF_CANDIDATES = (
    "model_version",
    "rows",
    "rounds",
    "train_loss",
    "tune_loss",
    "trials",
    "search_seconds",
    "fit_seconds",
)


def _search_plots(trained: "Trained") -> dict[str, Any]:
    """The search's plots; nothing without a search."""
    if trained.found is None:
        return {}
    from ml_assets.training.search_plots import search_plots

    return {f"search: {name}": picture(png, name) for name, png in search_plots(trained.found.study).items()}


def _evaluation(model: DeclaredModel) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(model, "evaluation"),
        deps=[
            key_of(model, "candidate"),
            key_of(model, "labels"),
            dg.AssetDep(key_of(model.group, "snapshot"), partition_mapping=window(0, 0)),
        ],
        description=(
            "The candidate, the champion of that time and the baseline on the same holdout: the population at the "
            "cutoff, with labels from after everything any of them has seen. Ends in a decision record."
        ),
        partitions_def=partitions_of(model.cutoffs),
        backfill_policy=AS_ONE_RUN,
        metadata=declared(model.schemas["evaluation"]),
        **_common(model, "scikitlearn", "mlflow"),
    )
    def evaluation(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        duckdb: DuckDBResource,
        mlflow: MlflowResource,
        training: TrainingResource,
    ) -> dg.MaterializeResult:
        from ml_assets.pipeline.steps.candidate import Workplace
        from ml_assets.pipeline.steps.evaluation import evaluate_cutoff
        from ml_assets.registry.trial import trial_process

        with connection(duckdb) as con, trial_process() as trials, failing():
            place = Workplace(
                run_of(context), con, model, lake.lake, mlflow.registry, training.of(model.name)
            )
            judged = [
                evaluate_cutoff(place, trials, cutoff)
                for cutoff in counted(model.cutoffs.between(*between(context)), "cutoffs")
            ]
            shown = stored(model.tables(lake.lake).evaluation, model.schemas["evaluation"])
        tell(context, {one.cutoff: _evaluation_metadata(model, mlflow, one) for one in judged})
        return dg.MaterializeResult(metadata=shown | _walk_forward(model, judged))

    return evaluation


def _evaluation_metadata(model: DeclaredModel, mlflow: MlflowResource, judged: "Judged") -> dict[str, Any]:
    """How one candidate was judged; its numbers are those of its row of the table ``evaluation``."""
    from ml_assets.evaluation.plots import pictures

    measured, (candidate, *_) = judged.measured, judged.metric_rows
    plots = (
        pictures(model.spec.label.target, measured.labels, measured.said) if measured.problem is None else {}
    )
    return {
        "decision": "passed" if judged.decision.passed else "refused",
        **finite({name: value for name, value in candidate.items() if name not in ("cutoff", "role")}),
        "gates": markdown_table(judged.gate_rows),
        "roles": markdown_table(judged.metric_rows),
        "slices": markdown_table(judged.slice_rows),
        "report": dg.MetadataValue.url(mlflow.run_url(model.name, judged.run_id, "evaluation/report.html")),
        **{name: picture(png, name) for name, png in plots.items()},
    }


def _walk_forward(model: DeclaredModel, judged: "Sequence[Judged]") -> dict[str, Any]:
    """The cutoffs of one run beside each other; nothing of a single one."""
    from ml_assets.evaluation.plots import walk_forward_plot
    from ml_assets.evaluation.spec import METRIC_NAMES

    if len(judged) == 1:
        return {}
    rows = [row for one in judged for row in one.metric_rows]
    metric = model.spec.gates.metric_of(model.spec.label.target)
    by_cutoff = f"{METRIC_NAMES[metric]} by cutoff"
    drawn = walk_forward_plot(rows, {metric: by_cutoff}, metric)
    return {"walk-forward": markdown_table(rows), by_cutoff: picture(drawn, by_cutoff)}


def _champion(model: DeclaredModel) -> dg.AssetsDefinition:
    approved = (
        " A version that passed waits, with the alias `challenger`, until somebody runs `ml-assets models approve`."
        if model.spec.approval == "manual"
        else ""
    )

    @dg.asset(
        key=key_of(model, "champion"),
        deps=[dg.AssetDep(key_of(model, "evaluation"), partition_mapping=dg.AllPartitionMapping())],
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

        with connection(duckdb) as con, failing():
            book = book_of(con, model, lake.lake, mlflow.registry)
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


def _kind(model: DeclaredModel) -> str:
    return "xgboost" if model.spec.train.estimator == "xgboost" else "scikitlearn"
