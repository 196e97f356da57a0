"""What is due of a model: labels that mature, days to score, cohorts whose labels have come, reports of bad days."""

from collections.abc import Collection
from datetime import date

import duckdb

from ml_assets.lake import Lake, stale_days
from ml_assets.pipeline.definitions import made_otherwise, of_labels
from ml_assets.pipeline.kept import as_trained
from ml_assets.project.model import DeclaredModel
from ml_assets.project.tables import ModelTables
from ml_assets.registry.pins import unlike


def stale_labels(model: DeclaredModel, lake: Lake, landed: date | None) -> set[date]:
    """The mature cutoffs whose labels are missing, or whose events, population or definitions have changed since.

    A cutoff whose snapshot is still to be built waits for it: without it there is no population to label.
    """
    newest = model.newest_mature(landed) if landed else None
    labels = model.tables(lake).labels.marks()
    built = model.group.snapshot(lake).marks()
    stale: set[date] = set()
    for table, reach in (
        (model.source.tables(lake).events, (0, model.spec.label.days - 1)),
        (model.group.snapshot(lake), (0, 0)),
    ):
        stale |= stale_days(table.marks(), labels, table.name, reach, model.cutoffs)
    if labels:
        stale |= made_otherwise(labels, of_labels(model), model.cutoffs.between(min(labels), max(labels)))
    return {cutoff for cutoff in stale if newest is not None and cutoff <= newest and cutoff in built}


def days_to_score(model: DeclaredModel, lake: Lake, version: int, since: date | None) -> set[date]:
    """The as_ofs a version has to score: snapshots it has not scored yet, or that changed since it did.

    Scores that ``drift``, the last table written after predictions, has not read are made again with it: a
    run that ended between the two leaves them. What is scored is history: features that are declared otherwise since
    make no day due again, unless they are kept for the version.
    ``since`` is the first as_of wanted; without it, the first the version has scored, or the newest
    snapshot if it has scored none.
    """
    tables, snapshot, as_ofs = model.tables(lake), model.group.snapshot(lake), model.group.as_ofs
    snapshots, own = snapshot.marks(), tables.predictions.marks(model_version=str(version))
    if not snapshots:
        return set()
    first = since or min(own or [max(snapshots)])
    reads = as_trained(model.group, lake, own[max(own)].definitions if own else None)
    stale = stale_days(snapshots, own, snapshot.name, (0, 0), as_ofs)
    if reads.unread is not None:
        stale |= {day for day in own if day > reads.unread}
    stale |= stale_days(own, tables.drift_days.marks(), tables.predictions.name, (0, 0), as_ofs)
    scored = stale & set(own) & set(snapshots)
    history = {day for day in scored if unlike(own[day].definitions, reads.could_follow(day))}
    return {day for day in stale - history if day >= first}


def stale_evaluations(model: DeclaredModel, lake: Lake, cutoffs: Collection[date]) -> set[date]:
    """Those of ``cutoffs`` that were never judged, or by another label or population than is declared."""
    judged = model.tables(lake).decisions.marks()
    return {day for day in cutoffs if day not in judged} | made_otherwise(judged, of_labels(model), cutoffs)


def stale_performance(model: DeclaredModel, lake: Lake) -> set[date]:
    """The cutoffs that were scored and have mature labels, without a performance as new as both."""
    tables, cutoffs = model.tables(lake), model.cutoffs
    labels, scores, done = tables.labels.marks(), tables.predictions.marks(), tables.performance.marks()
    labelled = stale_days(labels, {}, tables.labels.name, (0, 0), cutoffs)
    scored = stale_days(scores, {}, tables.predictions.name, (0, 0), cutoffs)
    stale = stale_days(labels, done, tables.labels.name, (0, 0), cutoffs)
    stale |= stale_days(scores, done, tables.predictions.name, (0, 0), cutoffs)
    return stale & labelled & scored


def day_to_report(con: duckdb.DuckDBPyConnection, tables: ModelTables) -> tuple[date, int] | None:
    """The newest watched day and its version, if that day is breached or broken."""
    if not tables.drift_days.exists:
        return None
    rows = tables.drift_days.read(con, columns=["as_of", "model_version", "breached", "broken"])
    newest = rows.order("as_of DESC, model_version DESC").limit(1).fetchall()
    return next(((day, version) for day, version, breached, broken in newest if breached or broken), None)
