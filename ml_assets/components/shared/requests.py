"""What sensors ask for: runs over ranges of partitions, each asked for once however often a sensor ticks.

A request has a key made of what there is to do, not of when it was seen. Before it is made, the instance
is asked for runs with that key: one in flight or done means there is nothing to ask for; a failed one is
tried again a few times. So the same tick twice, a lost cursor and a run in flight are all harmless.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

import dagster as dg

from ml_assets.components.shared.partitions import range_tags
from ml_assets.lake import Between

REQUEST = "ml_assets/request"
ATTEMPTS = 3
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def request_key(what: str, facts: object) -> str:
    """A stable key of what there is to do: its name and a digest of the facts it follows from."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
    return f"{what}:{digest[:16]}"


def ask(
    instance: dg.DagsterInstance,
    key: str,
    *,
    between: Between | None,
    tags: Mapping[str, str] | None = None,
    assets: Sequence[dg.AssetKey] | None = None,
    job: str | None = None,
) -> dg.RunRequest | dg.SkipReason:
    """A request for the run behind ``key``, or why there is none to make.

    ``assets`` narrows the sensor's target, ``job`` names one of several.
    """
    runs = instance.get_runs(dg.RunsFilter(tags={REQUEST: key}))
    for run in runs:
        if run.status in UNFINISHED:
            return dg.SkipReason(f"run {run.run_id} for {key} is in flight")
        if run.status == dg.DagsterRunStatus.SUCCESS:
            return dg.SkipReason(f"run {run.run_id} for {key} has succeeded")
    if len(runs) >= ATTEMPTS:
        return dg.SkipReason(
            f"{len(runs)} runs for {key} have failed, the last is {runs[0].run_id}: "
            "mend the cause and re-execute it, it is not tried again by itself"
        )
    return dg.RunRequest(
        run_key=f"{key}#{len(runs)}",
        job_name=job,
        asset_selection=assets,
        tags={REQUEST: key, **(range_tags(*between) if between else {}), **(tags or {})},
    )


def in_flight(instance: dg.DagsterInstance, asset: dg.AssetKey) -> list[str]:
    """The unfinished runs that were started for the asset."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return [run.run_id for run in runs if asset in (run.asset_selection or ())]


def answer(
    outcomes: Sequence[dg.RunRequest | dg.SkipReason], nothing: str
) -> dg.SensorResult | dg.SkipReason:
    """What a sensor returns: the requests among the outcomes, else all the reasons for none."""
    requests = [outcome for outcome in outcomes if isinstance(outcome, dg.RunRequest)]
    if requests:
        return dg.SensorResult(run_requests=requests)
    reasons = [o.skip_message or "" for o in outcomes if isinstance(o, dg.SkipReason)]
    return dg.SkipReason("; ".join(reasons) or nothing)
