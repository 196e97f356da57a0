"""The checks of a feature group's snapshots."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ml_assets.components.shared.keys import key_of
from ml_assets.components.shared.partitions import between_of_run
from ml_assets.components.shared.resources import LakeResource, connection
from ml_assets.features import FeatureError
from ml_assets.lake import Table
from ml_assets.pipeline.due.features import current as current_as_ofs
from ml_assets.project.group import Group

if TYPE_CHECKING:
    from ml_assets.features.proofs.differences import Disparity

REMEDY = (
    "`ml-assets plan` says what is due, and `ml-assets materialize` builds it; where nothing is due, the snapshot was "
    "changed by hand or the feature can't be computed the same way twice: materialize its partition again."
)
"""What to do about a value that is another than its definition gives."""
LOOKED_AT = 3
"""As_ofs of a run for which no_future_leakage computes the features again."""


def checks(group: Group) -> list[dg.AssetChecksDefinition]:
    """One row per entity, entities stay, no leak, parity of requests, and values as expected."""
    return [_rows_checks(group), _leakage_check(group), _parity_check(group), _expected_check(group)]


def _rows_checks(group: Group) -> dg.AssetChecksDefinition:
    key = key_of(group, "snapshot")

    @dg.multi_asset_check(
        name=f"{group.name}__snapshot_checks",
        specs=[
            dg.AssetCheckSpec(
                "one_row_per_entity",
                asset=key,
                description=f"Every {group.features.entity.words} has one row per as_of.",
                blocking=True,
            ),
            dg.AssetCheckSpec(
                "entities_stay",
                asset=key,
                description="No as_of has fewer entities than the one before it: whoever was known stays known.",
                blocking=True,
            ),
        ],
        can_subset=True,
    )
    def snapshot_checks(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> Iterator[dg.AssetCheckResult]:
        asked = between_of_run(context.run.tags)
        with connection(duckdb) as con:
            rows = group.snapshot(lake.lake).read(
                con, columns=[*group.features.entity, "as_of"], between=asked
            )
            rows.create_view("checked_snapshot", replace=True)
            daily = con.sql(
                f"SELECT as_of, count(*) AS n, count(DISTINCT ({group.features.entity})) AS entities "
                "FROM checked_snapshot GROUP BY as_of ORDER BY as_of"
            ).fetchall()
        repeated: dict[str, int] = {str(as_of): n - entities for as_of, n, entities in daily if n != entities}
        shrunk = {
            str(now[0]): f"{before[2]} -> {now[2]}"
            for before, now in pairwise(daily)
            if now[2] < before[2] and now[0] - before[0] == timedelta(days=1)
        }
        outcomes: dict[str, Mapping[str, object]] = {"one_row_per_entity": repeated, "entities_stay": shrunk}
        for selected in context.selected_asset_check_keys:
            found = outcomes[selected.name]
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name=selected.name,
                passed=not found,
                metadata={
                    "as_ofs checked": len(daily),
                    "failing": dg.MetadataValue.json(dict(list(found.items())[:20])),
                },
            )

    return snapshot_checks


def _leakage_check(group: Group) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=key_of(group, "snapshot"),
        name="no_future_leakage",
        description=(
            "Sampled rows are computed again from raw events, by the plain definition, and with another future: "
            "events at and after as_of removed, changed and added. A feature that differs knows what it must not."
        ),
        blocking=True,
    )
    def no_future_leakage(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.AssetCheckResult:
        from ml_assets.features.proofs.leakage import ENTITIES, find_leaks

        snapshot = group.snapshot(lake.lake)
        with connection(duckdb) as con:
            as_ofs = _spread(_as_ofs(con, snapshot, context), LOOKED_AT)
            current = current_as_ofs(group, lake.lake, as_ofs)
            found = find_leaks(group.features, group.events(lake.lake), snapshot, as_ofs, current)
        corrected = ", ".join(str(day) for day in as_ofs if day not in current) or "none"
        return _compared(found, as_ofs, ENTITIES, {"due again, snapshot not compared": corrected})

    return no_future_leakage


def _parity_check(group: Group) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=key_of(group, "snapshot"),
        name="offline_online_parity",
        description=(
            "Sampled entities are asked for one by one, as a service asks: at the snapshot's own moment the answer is its "
            "row, at another it is what the plain definition gives. A feature that differs serves what it wasn't "
            "trained on."
        ),
        blocking=True,
    )
    def offline_online_parity(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.AssetCheckResult:
        from ml_assets.features.proofs.parity import ENTITIES, find_disparities

        snapshot = group.snapshot(lake.lake)
        with connection(duckdb) as con:
            as_ofs = current_as_ofs(group, lake.lake, _as_ofs(con, snapshot, context))[-1:]
            try:
                found = [
                    difference
                    for as_of in as_ofs
                    for difference in find_disparities(
                        group.features,
                        events=group.events(lake.lake),
                        tiles=group.tiles(lake.lake),
                        snapshot=snapshot,
                        reach=group.late_by,
                        as_of=as_of,
                    )
                ]
            except FeatureError as error:
                return dg.AssetCheckResult(
                    passed=False, severity=dg.AssetCheckSeverity.WARN, description=f"Not looked at: {error}"
                )
        return _compared(found, as_ofs, ENTITIES, {})

    return offline_online_parity


def _as_ofs(
    con: duckdb.DuckDBPyConnection, snapshot: Table, context: dg.AssetCheckExecutionContext
) -> list[date]:
    """The as_ofs that a run is about and that have rows, oldest first."""
    rows = snapshot.read(con, columns=["as_of"], between=between_of_run(context.run.tags))
    return [day for (day,) in rows.distinct().order("as_of").fetchall()]


def _compared(
    found: Sequence["Disparity"], as_ofs: Sequence[date], entities: int, also: Mapping[str, str]
) -> dg.AssetCheckResult:
    """The result of a check that compares features of sampled entities computed two ways."""
    columns = sorted({difference.column for difference in found})
    return dg.AssetCheckResult(
        passed=not found,
        description=f"{', '.join(columns)}: {found[0]} {REMEDY}" if found else None,
        metadata={
            "as_ofs looked at": ", ".join(map(str, as_ofs)) or "none",
            "entities looked at": f"up to {entities} at each as_of",
            **also,
            "values that differ": len(found),
            "features that differ": ", ".join(columns) or "none",
            "differences": dg.MetadataValue.json([str(difference) for difference in found[:20]]),
        },
    )


def _expected_check(group: Group) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=key_of(group, "snapshot"),
        name="features_as_expected",
        description=(
            "The values of every feature lie where its declaration expects them: min, max, share of empty, median, values."
        ),
    )
    def features_as_expected(
        context: dg.AssetCheckExecutionContext, lake: LakeResource, duckdb: DuckDBResource
    ) -> dg.AssetCheckResult:
        from ml_assets.features.proofs.expected import find_unexpected

        with connection(duckdb) as con:
            rows = group.snapshot(lake.lake).read(con, between=between_of_run(context.run.tags))
            found = [str(each) for each in find_unexpected(con, group.features, rows)]
        return dg.AssetCheckResult(
            passed=not found,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(found[:3]) or None,
            metadata={
                "features with an expectation": sum(1 for f in group.features.features if f.expect),
                "unexpected": dg.MetadataValue.json(found),
            },
        )

    return features_as_expected


def _spread(among: Sequence[date], most: int) -> list[date]:
    """The first, the last and evenly between, at most so many."""
    if len(among) <= most:
        return list(among)
    return [among[round(n * (len(among) - 1) / (most - 1))] for n in range(most)]
