"""The asset that maintains the lake, its check and its weekly schedule."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from ml_assets.components.shared.metadata import markdown_table
from ml_assets.components.shared.resources import LakeResource, MlflowResource
from ml_assets.lake import Lake

if TYPE_CHECKING:
    from ml_assets.registry.mlflow_registry import Registry

KEY = dg.AssetKey(["lake", "maintenance"])
WEEK = timedelta(days=7)


def definitions() -> dg.Definitions:
    """The asset ``lake/maintenance``, the check ``kept_versions_readable`` and the schedule."""
    job = dg.define_asset_job("lake_maintenance", selection=dg.AssetSelection.assets(KEY))
    weekly = dg.ScheduleDefinition(
        name="lake_weekly_maintenance",
        description="Sundays: compacts and vacuums the lake.",
        job=job,
        cron_schedule="0 3 * * 0",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    return dg.Definitions(assets=[maintenance], asset_checks=[kept_versions_readable], schedules=[weekly])


def is_due(instance: dg.DagsterInstance) -> bool:
    """Whether a week has passed since the lake was maintained, or since the first run of the instance."""
    from ml_assets.instance import clock

    newest = instance.get_latest_materialization_event(KEY)
    if newest is not None:
        last = datetime.fromtimestamp(newest.timestamp, UTC)
    else:
        first = instance.get_run_records(limit=1, ascending=True)
        if not first:
            return False
        last = first[0].create_timestamp
    return clock.now() - last > WEEK


@dg.asset(
    key=KEY,
    group_name="lake",
    owners=["team:data"],
    kinds={"deltalake"},
    description=(
        "Compacts partitions of many small files, deletes days beyond the contracts' retention, and removes the files "
        "that neither the last six months nor a registered model needs, and features that were kept for a version which "
        "isn't in use any more, and the logs of runs of more than six months ago. The log of commits stays whole, and so "
        "do materializations and results of checks."
    ),
)
def maintenance(
    context: dg.AssetExecutionContext, lake: LakeResource, mlflow: MlflowResource
) -> dg.MaterializeResult:
    """Maintain every table of the lake, and forget the logs of old runs."""
    from ml_assets.instance import clock
    from ml_assets.instance.pruning import KEPT, prune
    from ml_assets.lake.maintenance import maintain, needed, tables

    expired = _expire(lake.lake)
    dropped = _drop_unpinned(context, lake.lake, mlflow.registry)
    kept = needed(lake.lake, named_versions(mlflow.registry))
    done = [maintain(table, kept.get(table.name, set())) for table in tables(lake.lake)]
    rows = [
        {
            "table": one.table,
            "files": f"{one.files_before} -> {one.files_after}",
            "MB": f"{one.bytes_before / 1e6:.1f} -> {one.bytes_after / 1e6:.1f}",
            "removed": one.files_removed,
            "versions that models need": len(kept.get(one.table, set())),
            "note": one.note,
        }
        for one in done
    ]
    return dg.MaterializeResult(
        metadata={
            "tables": markdown_table(rows),
            "files removed": sum(one.files_removed for one in done),
            "MB freed": round(sum(one.bytes_before - one.bytes_after for one in done) / 1e6, 1),
            "runs whose logs were deleted": prune(context.instance, clock.now() - KEPT),
            "kept for versions that nobody uses any more": ", ".join(dropped) or "none",
            "rows beyond their retention": dg.MetadataValue.json(expired),
        }
    )


@dg.asset_check(
    asset=KEY,
    description="Every version of a table that a registered model names can be opened, and its files are there.",
)
def kept_versions_readable(lake: LakeResource, mlflow: MlflowResource) -> dg.AssetCheckResult:
    """Look for versions that are needed and lost."""
    from ml_assets.lake.maintenance import lost, needed
    from ml_assets.lake.table import Table

    wanted = needed(lake.lake, named_versions(mlflow.registry))
    gone = [
        f"{name} version {version}"
        for name, versions in wanted.items()
        for version in lost(Table(lake.lake, name, ()), versions)
    ]
    return dg.AssetCheckResult(
        passed=not gone,
        metadata={
            "versions looked at": sum(map(len, wanted.values())),
            "lost": ", ".join(gone[:50]) or "none",
        },
    )


def named_versions(registry: "Registry") -> dict[str, set[int]]:
    """The table versions in the tags of all registered model versions: table -> versions."""
    named: dict[str, set[int]] = {}
    for version in registry.versions():
        for table, number in json.loads(version.tags.get("inputs", "{}")).items():
            named.setdefault(table, set()).add(int(number))
    return named


def _drop_unpinned(context: dg.AssetExecutionContext, lake: Lake, registry: "Registry") -> list[str]:
    """Remove what was kept for versions, once none in use pins it and nothing was written for six months; their names.

    Where the registry has lost a version in use, all stays.
    """
    from ml_assets.instance import clock
    from ml_assets.lake import connect
    from ml_assets.lake.maintenance import KEPT, drop
    from ml_assets.pipeline.kept import unpinned
    from ml_assets.project.project import Project
    from ml_assets.registry.mlflow_registry import RegistryError

    project, dropped = Project.current(), []
    for group in project.groups.values():
        models = [model for model in project.models.values() if model.group.name == group.name]
        try:
            with connect() as con:
                found = unpinned(con, group, models, lake, registry)
        except RegistryError as error:
            context.log.warning(f"what is kept of {group.name} stays: {error}")
            continue
        for table in found:
            if table.history(1)[0].at < clock.now() - KEPT:
                drop(table)
                dropped.append(table.name)
    return dropped


def _expire(lake: Lake) -> dict[str, int]:
    """Delete the days that the contracts keep no longer; rows deleted by table."""
    from ml_assets.lake import connect
    from ml_assets.lake.maintenance import expire
    from ml_assets.landing.raw import landed_through
    from ml_assets.project.project import Project

    deleted = {}
    for source in Project.current().sources.values():
        retention, tables = source.contract.retention, source.tables(lake)
        with connect() as con:
            newest = landed_through(con, tables.files)
        if retention is None or newest is None:
            continue
        before, why = newest - retention, f"retention of {source.name}"
        for table in (tables.raw, tables.events, tables.quarantine):
            deleted[table.name] = expire(table, before, why)
        deleted[tables.refused.name] = expire(tables.refused, before.replace(day=1), why)
    return deleted
