"""The assets ``drift`` and ``drift_report`` of a model, and the checks that its inputs are whole and have not moved."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ml_assets.components.model.performance import loss_picture
from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.metadata import declared, markdown_table, picture, stored
from ml_assets.components.shared.partitions import AS_ONE_RUN, between, between_of_run, partitions_of
from ml_assets.components.shared.resources import LakeResource, MlflowResource, connection
from ml_assets.components.shared.results import finite, numbers_of, tell
from ml_assets.components.shared.runs import failing, run_of
from ml_assets.lake import Between, Lake
from ml_assets.pipeline.steps.drift import Watched, WatchedDay, watch_days
from ml_assets.project.model import DeclaredModel

if TYPE_CHECKING:
    from ml_assets.monitoring.measure.counting import Counted
    from ml_assets.monitoring.measure.profile import FeatureProfile
    from ml_assets.monitoring.show.plots import FeatureBars

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
SMALLEST = 1e-300
"""An edge right below 0 is shown as 0."""
SHOWN_DAYS = timedelta(days=90)
"""How far back the plots over time reach."""


def assets(model: DeclaredModel) -> list[dg.AssetsDefinition]:
    """Drift of every day, and Evidently's report of a day."""
    return [_drift(model), _drift_report(model)]


def _drift(model: DeclaredModel) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(model, "drift"),
        deps=[key_of(model, "predictions"), key_of(model.group, "snapshot")],
        description=(
            "How far the features and scores of the population have moved from the champion's own training profile, "
            "feature by feature, and what the model is estimated to lose by it; with evidence where it has drifted."
        ),
        partitions_def=partitions_of(model.group.as_ofs),
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"deltalake", "duckdb"},
        backfill_policy=AS_ONE_RUN,
        metadata=declared(model.schemas["drift"]),
    )
    def drift(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.MaterializeResult:
        with connection(duckdb) as con, failing():
            watched = watch_days(con, run_of(context), model, lake.lake, between(context))
            table = model.tables(lake.lake).drift
            each = numbers_of(con, table, model.group.as_ofs.between(*between(context)))
            for day in watched.days:
                each[day.as_of] |= _of_day(day, watched)
            if watched.days:
                each[watched.days[-1].as_of] |= _pictures(con, model, lake.lake, watched)
        tell(context, each)
        return dg.MaterializeResult(
            metadata=stored(table, model.schemas["drift"]) | {"champion version": watched.version}
        )

    return drift


def _of_day(day: WatchedDay, watched: Watched) -> dict[str, Any]:
    """What watching one day found, in words and in numbers."""
    verdict, estimate = day.verdict, day.estimate
    numbers = {
        "breached_share": verdict.share,
        "rows": verdict.rows,
        "estimated_loss": estimate.loss if estimate else None,
    }
    return {
        "day": day.in_words(),
        "evidence": watched.evidence.get(day.as_of, "none"),
        **finite(numbers),
    }


def _pictures(
    con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, watched: Watched
) -> dict[str, Any]:
    """The newest day's features as a table and as plots, and the days before it as plots."""
    from ml_assets.monitoring.show import plots

    day, tables = watched.days[-1], model.tables(lake)
    weights = sorted(day.drifts, key=lambda d: (-d.weight, d.feature))
    span = day.as_of - SHOWN_DAYS, day.as_of
    rows = tables.drift_days.read(con, between=span).filter(f"model_version = {watched.version}")
    days = rows.order("as_of").to_arrow_table().to_pylist()
    shown = {
        "features": markdown_table([_shown(drift) for drift in weights]),
        "moved weight by day": picture(
            plots.drift_over_time(days, model.spec.monitoring.share), "drift over time"
        ),
        "features against their thresholds": picture(
            plots.feature_shift_plot(day.drifts), "drift by feature"
        ),
        "features now and in training": picture(
            plots.feature_histograms(_histograms(day, watched.profiles)), "histograms"
        ),
    }
    if watched.reference is not None:
        scores = con.sql(f"SELECT score FROM watched WHERE as_of = DATE '{day.as_of}'").fetchnumpy()["score"]
        drawn = plots.score_distribution(watched.reference, scores)
        shown["scores now and on the holdout"] = picture(drawn, "scores")
    return shown | loss_picture(con, model, lake)


def _shown(drift: Any) -> dict[str, Any]:
    return {
        "feature": drift.feature,
        "weight": drift.weight,
        "PSI": drift.psi,
        "PSI threshold": drift.psi_threshold,
        "shift": drift.shift,
        "shift threshold": drift.shift_threshold,
        "KS": drift.ks,
        "JS": drift.jensen_shannon,
        "null share": drift.null_share,
        "unseen share": drift.unseen_share,
        "verdict": "broken" if drift.broken else "moved" if drift.breached else "",
    }


def _histograms(day: WatchedDay, profiles: "list[FeatureProfile]") -> "list[FeatureBars]":
    """The features that were compared, training against the day, by the groups of bins that PSI is taken over."""
    from ml_assets.monitoring.show.plots import FeatureBars

    breached = {drift.feature: drift.breached for drift in day.drifts}
    found = []
    for profile in sorted(profiles, key=lambda p: (-p.weight, p.feature)):
        if profile.feature not in breached or profile.kind == "volume" or not sum(profile.shares):
            continue
        names, before, now = _grouped(profile, day.counted[profile.feature])
        found.append(FeatureBars(profile.feature, names, before, now, breached[profile.feature]))
    return found


def _grouped(
    profile: "FeatureProfile", counted: "Counted"
) -> tuple[list[str] | list[float], list[float], list[float]]:
    """Names of categories or inner edges of a number, then shares by bin, in training and now."""
    values = max(1, sum(counted.counts))
    if profile.kind == "categorical":
        return [*profile.categories, "other"], profile.shares, [n / values for n in counted.counts]
    runs = [list(places) for _, places in groupby(range(len(profile.groups)), lambda n: profile.groups[n])]
    held = [run for run in runs if any(profile.shares[n] or counted.counts[n] for n in run)]
    edges = [profile.edges[run[-1]] if abs(profile.edges[run[-1]]) > SMALLEST else 0.0 for run in held[:-1]]
    before = [sum(profile.shares[n] for n in run) for run in held]
    return edges, before, [sum(counted.counts[n] for n in run) / values for run in held]


def _drift_report(model: DeclaredModel) -> dg.AssetsDefinition:
    @dg.asset(
        key=key_of(model, "drift_report"),
        deps=[key_of(model, "predictions"), key_of(model.group, "snapshot"), key_of(model, "drift")],
        description="Evidently's report of one day against the training set, on a seeded sample, to read. Made by itself "
        "for a day that is breached or broken; of a range, for its last day. It decides nothing.",
        partitions_def=partitions_of(model.group.as_ofs),
        group_name=model.name,
        owners=model.spec.owners,
        kinds={"evidently", "mlflow"},
        backfill_policy=AS_ONE_RUN,
    )
    def drift_report(
        context: dg.AssetExecutionContext, lake: LakeResource, duckdb: DuckDBResource, mlflow: MlflowResource
    ) -> dg.MaterializeResult:
        from ml_assets.pipeline.steps.drift_report import report_drift

        _, as_of = between(context)
        with connection(duckdb) as con, failing():
            done = report_drift(con, model, lake.lake, mlflow.registry, as_of)
        return dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.url(
                    mlflow.run_url(model.name, done.version.run_id, done.artifact)
                ),
                "what Evidently says": markdown_table(done.table),
                "champion version": done.version.number,
                "rows": done.rows,
            }
        )

    return drift_report


def checks(model: DeclaredModel) -> list[dg.AssetChecksDefinition]:
    """The checks of the asset ``drift``."""
    return [_drift_checks(model)]


def _drift_checks(model: DeclaredModel) -> dg.AssetChecksDefinition:
    key = key_of(model, "drift")

    @dg.multi_asset_check(
        name=f"{model.name}__drift_checks",
        specs=[
            dg.AssetCheckSpec(
                "inputs_whole",
                asset=key,
                blocking=True,
                description="The days have the rows, nulls, categories and magnitudes the champion was trained on: broken "
                "data is mended, never trained on.",
            ),
            dg.AssetCheckSpec(
                "no_drift",
                asset=key,
                description="The newest day's features, weighted by what the champion uses, have not moved. Warns; "
                "a drift needs several days, and a retrain that the model loses by it.",
            ),
        ],
        can_subset=True,
    )
    def drift_checks(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> Iterator[dg.AssetCheckResult]:
        with connection(duckdb) as con:
            days = _days(con, model, lake.lake, between_of_run(context.run.tags))
        newest = days[-1] if days else None
        for selected in context.selected_asset_check_keys:
            whole = selected.name == "inputs_whole"
            wrong = [day for day in days if day["broken"]] if whole else []
            if newest is None:
                passed, said = not whole, "no day has been watched"
            elif whole:
                passed = not wrong
                said = (
                    "; ".join(f"{day['as_of']}: {day['reason']}" for day in wrong)
                    or f"{len(days)} days are whole"
                )
            else:
                passed = not newest["breached"]
                said = f"{newest['as_of']}: {newest['diagnosis']}. {newest['reason']} {newest['estimate'] or ''}".strip()
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name=selected.name,
                passed=passed,
                severity=ERROR if whole else WARN,
                description=said,
                metadata={"moved weight": newest["share"], "rows": newest["rows"]} if newest else {},
            )

    return drift_checks


def _days(
    con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, asked: Between | None
) -> list[Mapping[str, Any]]:
    """The verdicts of the days asked for, by the newest version that watched each; without a range, of the newest day."""
    table = model.tables(lake).drift_days
    if not table.exists:
        return []
    columns = [
        "as_of",
        "model_version",
        "share",
        "breached",
        "broken",
        "rows",
        "reason",
        "diagnosis",
        "estimate",
    ]
    rows = table.read(con, columns=columns, between=asked).order("as_of, model_version").to_arrow_table()
    by_day: dict[date, Mapping[str, Any]] = {row["as_of"]: row for row in rows.to_pylist()}
    days = [by_day[day] for day in sorted(by_day)]
    return days if asked else days[-1:]
