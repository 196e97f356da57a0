"""What a run over days says to Dagster when some of them could not be built."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from ml_assets.project.source import name_days


def finish(
    context: dg.AssetExecutionContext,
    refused: Mapping[date, str],
    built: Sequence[date],
    metadata: Mapping[str, Any],
) -> dg.MaterializeResult:
    """The result of a run over days of which some may be ``refused``, because they read withheld days.

    Then Dagster is told of the days that were built, and the run fails with the names of those that weren't.
    """
    if not refused:
        return dg.MaterializeResult(metadata=metadata)
    key = context.asset_key
    for day in built:
        context.log_event(dg.AssetMaterialization(key, partition=day.isoformat(), metadata=metadata))
    raise dg.Failure(
        f"{len(refused)} partitions of {key.to_user_string()} read days that are withheld or have not landed and "
        f"were not built; {len(built)} were. {name_days(refused)}. Mend, waive or land these days first.",
        metadata={"refused": dg.MetadataValue.json({str(day): why for day, why in refused.items()})},
        allow_retries=False,
    )
