"""What a run over partitions says to Dagster: of each partition its own numbers, of those it couldn't build why."""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import duckdb

from ml_assets.lake import Table
from ml_assets.lake.sql import quote
from ml_assets.project.source import name_days

ByPartition = Mapping[date, Mapping[str, Any]]
"""Partition -> its own metadata."""


def numbers_of(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    slots: Collection[date],
    aggregates: Mapping[str, str] | None = None,
    where: str = "true",
) -> dict[date, dict[str, Any]]:
    """The number of rows of each partition, 0 for one without any, and further numbers: name -> SQL aggregate.

    ``where`` narrows the rows. A number that isn't known, or isn't finite, is left out: a plot has a gap there.
    """
    if not slots or not table.exists:
        return {}
    wanted = {"dagster/row_count": "count(*)", **(aggregates or {})}
    lead = quote(table.partition_by[0])
    said = ", ".join(f"{aggregate} AS {quote(name)}" for name, aggregate in wanted.items())
    rows = table.read(con, between=(min(slots), max(slots))).filter(where)
    found = {
        row[0]: dict(zip(wanted, row[1:], strict=True))
        for row in rows.aggregate(f"{lead}, {said}", lead).fetchall()
    }
    return {slot: finite(found.get(slot, {"dagster/row_count": 0})) for slot in slots}


def finite(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of these numbers, as Dagster plots them: integers and finite floats."""
    known = {n: v if isinstance(v, int) else float(v) for n, v in numbers.items() if v is not None}
    return {name: value for name, value in known.items() if math.isfinite(value)}


def tell(context: dg.AssetExecutionContext, each: ByPartition, asset_key: dg.AssetKey | None = None) -> None:
    """Give each partition of a run its own metadata."""
    for day, metadata in each.items():
        context.add_asset_metadata(metadata, asset_key=asset_key, partition_key=day.isoformat())


def finish(
    context: dg.AssetExecutionContext,
    refused: Mapping[date, str],
    built: Sequence[date],
    each: ByPartition,
    common: Mapping[str, Any],
) -> dg.MaterializeResult:
    """The result of a run over days of which some may be ``refused``, because they read withheld days.

    Then Dagster is told of the days that were built, and the run fails with the names of those that weren't.
    """
    if not refused:
        tell(context, each)
        return dg.MaterializeResult(metadata=common)
    key = context.asset_key
    for day in built:
        metadata = {**common, **each.get(day, {})}
        context.log_event(dg.AssetMaterialization(key, partition=day.isoformat(), metadata=metadata))
    raise dg.Failure(
        f"{len(refused)} partitions of {key.to_user_string()} read days that are withheld, have not landed or are due "
        f"themselves, and were not built; {len(built)} were. {name_days(refused)}. Mend, waive or land these days first.",
        metadata={"refused": dg.MetadataValue.json({str(day): why for day, why in refused.items()})},
        allow_retries=False,
    )
