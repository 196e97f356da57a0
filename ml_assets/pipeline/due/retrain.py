"""Whether a retrain is due: what is on record about a model now, as the situation that ``decide`` decides on."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import duckdb

from ml_assets.lake import Lake, LakeError, Table
from ml_assets.landing.raw import landed_through
from ml_assets.monitoring.act.decide import STANDS, Attempt, Champion, Situation
from ml_assets.monitoring.act.evidence import Evidence
from ml_assets.monitoring.tables import EVIDENCE
from ml_assets.pipeline.definitions import made_otherwise, of_labels
from ml_assets.pipeline.due.model import stale_labels
from ml_assets.project.calendar import WEEK
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.pins import unlike
from ml_assets.registry.promotion_log import PromotionLog, read_log
from ml_assets.registry.verdicts import GateVerdict, read_verdicts

Attempts = Callable[[Sequence[GateVerdict], PromotionLog], list[Attempt]]
"""The retrains tried so far, oldest first, by who knows the runs; judged by verdicts and log."""


def look(con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, attempts: Attempts) -> Situation:
    """What is on record about the model now; what was judged by another label or population says nothing of it."""
    tables, spec = model.tables(lake), model.spec
    log = read_log(con, tables.promotions, model.name)
    landed = landed_through(con, model.source.tables(lake).files)
    mature = model.newest_mature(landed) if landed else None
    judged = read_verdicts(con, tables.decisions)
    otherwise = made_otherwise(tables.decisions.marks(), of_labels(model), {v.cutoff for v in judged})
    verdicts = [verdict for verdict in judged if verdict.cutoff not in otherwise]
    tried = attempts(judged, log)
    champion = None
    if log.champion is not None and log.cutoff is not None:
        champion = Champion(log.champion, log.cutoff, log.cutoff + spec.label.horizon)
    return Situation(
        today=landed + timedelta(days=1) if landed else date.min,
        champion=champion,
        mature=mature,
        next_mature=mature + WEEK + spec.label.horizon if mature else None,
        evidence=newest_evidence(con, tables.evidence, champion.version) if champion else None,
        broken=_broken(con, model, lake, mature),
        judged=_judged(verdicts, log, mature),
        redefined=_redefined(model, lake, champion) if champion else None,
        attempts=[one for one in tried if one.cutoff not in otherwise or one.outcome == "running"],
    )


def newest_evidence(con: duckdb.DuckDBPyConnection, table: Table, version: int) -> Evidence | None:
    """The newest evidence against a version that calls for a retrain and still stands, or else the newest."""
    if not table.exists:
        return None
    rows = table.read(con, columns=list(EVIDENCE.types)).filter(f"champion_version = {version}")
    rows.create_view("found_evidence", replace=True)
    newest = con.sql(
        f"SELECT * FROM found_evidence ORDER BY calls_for = 'retrain' AND as_of + {STANDS.days} >= "
        "(SELECT max(as_of) FROM found_evidence) DESC, as_of DESC, evidence_id LIMIT 1"
    )
    found = newest.to_arrow_table().to_pylist()
    return Evidence(**found[0]) if found else None


def _broken(
    con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, mature: date | None
) -> dict[date, str]:
    """The days of broken data that matter: the newest watched, and the cutoffs a retrain would read."""
    table = model.tables(lake).drift_days
    if not table.exists:
        return {}
    rows = table.read(con, columns=["as_of", "model_version", "broken", "reason"])
    rows.create_view("watched_days", replace=True)
    found = con.sql(
        "SELECT as_of, last(broken ORDER BY model_version), last(reason ORDER BY model_version), "
        "as_of = max(as_of) OVER () FROM watched_days GROUP BY as_of ORDER BY as_of"
    ).fetchall()
    read = (
        set(model.spec.cutoffs.before(mature - model.spec.label.horizon, model.spec.train.history))
        if mature
        else set()
    )
    read |= {mature} if mature else set()
    return {day: reason for day, broken, reason, newest in found if broken and (newest or day in read)}


def _judged(verdicts: Sequence[GateVerdict], log: PromotionLog, mature: date | None) -> str | None:
    """What became of the candidate of the newest mature cutoff against the present champion, in words."""
    for verdict in verdicts:
        if verdict.cutoff == mature and verdict.champion_version == log.champion:
            passed = "it passed; materialize the champion" if verdict.passed else verdict.reason
            return (
                f"Version {verdict.version} of cutoff {mature}, the newest with mature labels, has been judged "
                f"already: {passed}."
            )
    return None


def _redefined(model: DeclaredModel, lake: Lake, champion: Champion) -> str | None:
    """What the champion predicts otherwise than is declared now, in words; None where nothing, or nothing is recorded."""
    profiles = model.tables(lake).profiles
    try:
        learnt = profiles.made(champion.cutoff, model_version=str(champion.version)).provenance.definitions
    except LakeError:
        return None
    found = unlike(of_labels(model), learnt)
    if not learnt or not found:
        return None
    return f"Version {champion.version} was trained before {' and '.join(found)} was declared as now."


def missing_labels(model: DeclaredModel, lake: Lake, landed: date | None, cutoff: date) -> set[date]:
    """The cutoffs a retrain of ``cutoff`` would learn from that have no labels yet, or outdated ones."""
    needed = model.spec.cutoffs.before(cutoff - model.spec.label.horizon, model.spec.train.history)
    return stale_labels(model, lake, landed) & set(needed)
