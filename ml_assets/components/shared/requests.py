"""What sensors ask for: runs over ranges of partitions, each asked for once however often a sensor ticks.

A request has a key made of what there is to do, not of when it was seen. Before it is made, the instance
is asked for runs with that key: one in flight or done means there is nothing to ask for; a failed one is
tried again a few times. So the same tick twice, a lost cursor and a run in flight are all harmless.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import dagster as dg

from ml_assets.components.shared.partitions import range_tags
from ml_assets.lake import Between, Commit, Table, days

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


def answer(
    outcomes: Sequence[dg.RunRequest | dg.SkipReason], nothing: str
) -> dg.SensorResult | dg.SkipReason:
    """What a sensor returns: the requests among the outcomes, else all the reasons for none."""
    requests = [outcome for outcome in outcomes if isinstance(outcome, dg.RunRequest)]
    if requests:
        return dg.SensorResult(run_requests=requests)
    reasons = [o.skip_message or "" for o in outcomes if isinstance(o, dg.SkipReason)]
    return dg.SkipReason("; ".join(reasons) or nothing)


def stale_days(
    upstream: Sequence[Commit],
    downstream: Sequence[Commit],
    upstream_name: str,
    reach: tuple[int, int],
    partitions: dg.TimeWindowPartitionsDefinition,
) -> set[date]:
    """The downstream days whose upstream days have changed since they were written, or that are missing.

    Downstream day D reads the upstream days D + reach[0] to D + reach[1]. A commit's metadata names the
    days it is about, those of them it left as they were, and the upstream version it read: an upstream day
    that was left has not changed; a downstream day that was left has been read, unless another writer changed it
    after it was compared. Only days of ``partitions`` are named, from the first that any upstream day allows to
    the last whose nearest upstream day there is.
    """
    changed: dict[date, int] = {}
    for commit in sorted(upstream, key=lambda c: c.version):
        for day in _days_of(commit):
            if day not in commit.left:
                changed[day] = commit.version
    if not changed:
        return set()
    read: dict[date, int] = {}
    written: dict[date, int] = {}
    for commit in sorted(downstream, key=lambda c: c.version):
        version = int(json.loads(commit.metadata.get("inputs", "{}")).get(upstream_name, -1))
        compared = int(commit.metadata.get("compared", commit.version))
        for day in _days_of(commit):
            if day not in commit.left:
                written[day] = commit.version
            elif written.get(day, -1) > compared:
                continue
            read[day] = version
    stale = set()
    nearest = max(reach[0], min(reach[1], 0))
    for day in days(min(changed) - timedelta(days=reach[1]), max(changed) - timedelta(days=nearest)):
        if not partitions.has_partition_key(day.isoformat()):
            continue
        offsets = range(_reach_start(reach, day, changed), reach[1] + 1)
        newest = max((changed.get(day + timedelta(days=n), -1) for n in offsets), default=-1)
        if day not in read or newest > read[day]:
            stale.add(day)
    return stale


def days_to_score(
    snapshot: Table,
    predictions: Table,
    drift: Table,
    version: int,
    since: date | None,
    partitions: dg.DailyPartitionsDefinition,
) -> set[date]:
    """The as_ofs a version has to score: snapshots it has not scored yet, or that changed since it did.

    Scores that ``drift``, the last table written after predictions, has not read are made again with it: a
    run that ended between the two leaves them.
    ``since`` is the first as_of wanted; without it, the first the version has scored, or the newest
    snapshot if it has scored none.
    """
    snapshots = snapshot.history()
    own = [c for c in predictions.history() if c.metadata.get("model_version") == str(version)]
    newest = max((c.between[1] for c in snapshots if c.between), default=None)
    if newest is None:
        return set()
    first = since or min((c.between[0] for c in own if c.between), default=newest)
    stale = stale_days(snapshots, own, snapshot.name, (0, 0), partitions)
    stale |= stale_days(own, drift.history(), predictions.name, (0, 0), partitions)
    return {day for day in stale if day >= first}


def _reach_start(reach: tuple[int, int], day: date, changed: Mapping[date, int]) -> int:
    return max(reach[0], (min(changed) - day).days)


def _days_of(commit: Commit) -> list[date]:
    return days(*commit.between) if commit.between else []
