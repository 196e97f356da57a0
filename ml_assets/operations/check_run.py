"""Run asset checks without materializing anything, and say which of them failed or never ran."""

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from ml_assets.components.shared.partitions import SINGLE
from ml_assets.operations.in_process import execute


@dataclass(frozen=True)
class CheckOutcome:
    """What became of one selected check."""

    asset: str
    check: str
    status: str
    """``passed``, ``failed``, ``warned`` or ``never ran``."""
    message: str

    @property
    def is_error(self) -> bool:
        """Whether it makes the command fail."""
        return self.status in ("failed", "never ran")


class NothingToCheck(Exception):
    """The selection has no checks, or the partition doesn't exist; the message says what does."""


def run_checks(
    defs: dg.Definitions, instance: dg.DagsterInstance, selection: str | None, partition: str | None
) -> list[CheckOutcome]:
    """Run the checks of the selected assets (all without a selection) over all partitions, or over one.

    ``selection`` is Dagster's selection syntax over assets, ``partition`` a key such as 2017-12-03.
    Raises NothingToCheck.
    """
    graph = defs.resolve_asset_graph()
    known = ", ".join(sorted({key.asset_key.to_user_string() for key in graph.asset_check_keys}))
    try:
        chosen = dg.AssetSelection.from_string(selection) if selection else dg.AssetSelection.all()
        assets = chosen.resolve(graph)
    except dg.DagsterError as error:
        raise NothingToCheck(
            f"The selection {selection!r} names no asset: {error} Assets with checks: {known}."
        ) from error
    keys = sorted((key for key in graph.asset_check_keys if key.asset_key in assets), key=str)
    if not keys:
        raise NothingToCheck(f"No asset checks are selected by {selection!r}. Assets with checks: {known}.")
    tags = _partition_tags(graph, assets, partition)
    job = dg.define_asset_job("asset_checks", selection=dg.AssetSelection.checks(*keys))
    runnable = dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("asset_checks")
    result = execute(runnable, instance, tags=tags)
    evaluations = {(e.asset_key, e.check_name): e for e in result.get_asset_check_evaluations()}
    crashes = {
        str(event.step_key): _words(event.step_failure_data.error)
        for event in result.all_events
        if event.is_step_failure and event.step_failure_data.error
    }
    steps = {key: checks.op.name for checks in defs.asset_checks or () for key in checks.check_keys}
    return [_outcome(key, evaluations, crashes.get(steps.get(key, ""))) for key in keys]


def _words(error: SerializableErrorInfo) -> str:
    """The message of what went wrong in a step, without Dagster's wrapping and the error's class."""
    cause = error.cause or error
    message = cause.message.strip()
    return message.partition(f"{cause.cls_name}: ")[2] or message


def _partition_tags(graph: object, assets: object, partition: str | None) -> Mapping[str, str]:
    if partition is None:
        return {}
    definitions = {graph.get(key).partitions_def for key in assets} - {None}  # type: ignore[attr-defined]
    if not any(d.has_partition_key(partition) for d in definitions):
        spans = "; ".join(
            f"{d.get_first_partition_key()} to {d.get_last_partition_key()}" for d in definitions
        )
        raise NothingToCheck(f"No selected asset has a partition {partition}. There are: {spans or 'none'}.")
    return {SINGLE: partition}


def _outcome(
    key: dg.AssetCheckKey,
    evaluations: Mapping[tuple[dg.AssetKey, str], dg.AssetCheckEvaluation],
    crash: str | None,
) -> CheckOutcome:
    asset, found = key.asset_key.to_user_string(), evaluations.get((key.asset_key, key.name))
    if found is None:
        return CheckOutcome(asset, key.name, "never ran", crash or "no evaluation recorded")
    said = found.description or "; ".join(f"{name}: {value.value}" for name, value in found.metadata.items())
    if found.passed:
        return CheckOutcome(asset, key.name, "passed", said)
    warned = found.severity == dg.AssetCheckSeverity.WARN
    return CheckOutcome(asset, key.name, "warned" if warned else "failed", said)
