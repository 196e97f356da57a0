"""Watch a range of days: measure every day against the champion's profile, estimate its loss, put evidence on record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import duckdb

from ml_assets.instance.progress import counted
from ml_assets.lake import Between, Lake, LakeError, records
from ml_assets.monitoring.act.evidence import (
    FoundLoss,
    drift_evidence,
    estimated_loss,
    realised_loss,
)
from ml_assets.monitoring.loss.diagnosis import diagnose
from ml_assets.monitoring.measure.counting import Counted
from ml_assets.monitoring.measure.drift import DayVerdict, FeatureDrift, compare, count, judge_day
from ml_assets.monitoring.measure.profile import FeatureProfile, profiles_from_rows
from ml_assets.monitoring.tables import DRIFT, DRIFT_DAYS, EVIDENCE
from ml_assets.pipeline.kept import AsTrained, as_trained
from ml_assets.pipeline.run import CannotRun, Run
from ml_assets.pipeline.steps.performance import references_of
from ml_assets.project.model import DeclaredModel
from ml_assets.project.tables import ModelTables
from ml_assets.registry.pins import unlike
from ml_assets.registry.promotion_log import champion_on_record

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.monitoring.loss.estimate import Estimate
    from ml_assets.monitoring.loss.reference import Reference

BROKEN = "broken data"


@dataclass(frozen=True)
class WatchedDay:
    """What watching one day found. ``loss`` is what the model is known to lose more, None if nothing."""

    as_of: date
    verdict: DayVerdict
    drifts: list[FeatureDrift]
    counted: Mapping[str, Counted]
    estimate: "Estimate | None"
    loss: FoundLoss | None

    @property
    def diagnosis(self) -> str:
        """Data drift, concept drift, both, neither; or broken data."""
        return BROKEN if self.verdict.broken else diagnose(self.verdict.breached, self.loss is not None)

    def in_words(self) -> str:
        """The day, its verdict, and what is known of the loss."""
        estimated = f" {self.estimate.reason}" if self.estimate else ""
        doubted = (
            f" In doubt: {'; '.join(self.estimate.doubts)}." if self.estimate and self.estimate.doubts else ""
        )
        return f"{self.as_of}: {self.diagnosis}. {self.verdict.reason}{estimated}{doubted}"


@dataclass(frozen=True)
class Watched:
    """What watching a range of days found: of each day on which somebody was scored, in order."""

    version: int
    days: Sequence[WatchedDay]
    evidence: Mapping[date, str]
    """The reason of the evidence that a day gave, of those that gave any."""
    profiles: list[FeatureProfile]
    reference: "Reference | None"


def profiles_of(con: duckdb.DuckDBPyConnection, tables: ModelTables, version: int) -> list[FeatureProfile]:
    """The training profile stored with a version."""
    rows = tables.profiles.read(con).filter(f"model_version = {version}")
    return profiles_from_rows(rows.to_arrow_table())


def learnt_from(
    con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, version: int, cutoff: date
) -> "pd.DataFrame":
    """The features that a version was fitted on, by as_of and entity: the training set of its cutoff as it was then.

    Of a version that was trained before this was on record, it is the training set of its cutoff as it is now.
    """
    tables = model.tables(lake)
    try:
        inputs = tables.profiles.made(cutoff, model_version=str(version)).inputs
    except LakeError:
        inputs = {}
    at = inputs.get(tables.training_set.name)
    rows = tables.training_set.read(con, between=(cutoff, cutoff), version=at)
    features = {profile.feature for profile in profiles_of(con, tables, version)}
    columns = [name for name in rows.columns if name in {"as_of", *model.entity, *features}]
    frame: pd.DataFrame = rows.order(f"as_of, {model.entity}").df()[columns]
    return frame


def watch_days(
    con: duckdb.DuckDBPyConnection,
    run: Run,
    model: DeclaredModel,
    lake: Lake,
    between: Between,
) -> Watched:
    """Measure and judge every day of the range, and write drift, evidence and day verdicts.

    Raises CannotRun where no champion has scored anybody. The temporary table ``watched`` has the scored rows.
    """
    tables, policy = model.tables(lake), model.spec.monitoring
    champion = champion_on_record(con, tables.promotions, model.name)
    if champion is None or not tables.predictions.exists:
        raise CannotRun(
            f"There are no predictions of a champion to watch. Materialize {model.name}/predictions."
        )
    version = champion.version
    profiles = profiles_of(con, tables, version)
    reference = references_of(con, tables, version).get(version)
    days = _measured(con, model, lake, between, version, profiles, reference)
    lookback = between[0] - timedelta(days=policy.of_last - 1), between[0] - timedelta(days=1)
    verdicts = _earlier_verdicts(con, tables, lookback, version)
    drift_rows: list[dict[str, Any]] = []
    evidence_rows: list[dict[str, Any]] = []
    for day in days:
        about = {"as_of": day.as_of, "model_version": version}
        drift_rows += [about | asdict(drift) for drift in day.drifts]
        verdicts.append((day.as_of, day.verdict))
        evidence = drift_evidence(
            verdicts, day.drifts, policy, model=model.name, champion_version=version, loss=day.loss
        )
        if evidence is not None:
            evidence_rows.append(asdict(evidence))
    day_rows = [_day_row(day, version, reference) for day in days]
    made = run.made(tables.predictions)
    tables.drift.replace(records(con, drift_rows, DRIFT.types), between=between, provenance=made)
    found = records(con, evidence_rows, EVIDENCE.types)
    tables.evidence.replace(found, between=between, also="found_by = 'drift'", provenance=made)
    tables.drift_days.replace(records(con, day_rows, DRIFT_DAYS.types), between=between, provenance=made)
    return Watched(
        version=version,
        days=days,
        evidence={row["as_of"]: row["reason"] for row in evidence_rows},
        profiles=profiles,
        reference=reference,
    )


def _measured(
    con: duckdb.DuckDBPyConnection,
    model: DeclaredModel,
    lake: Lake,
    between: Between,
    version: int,
    profiles: Sequence[FeatureProfile],
    reference: "Reference | None",
) -> list[WatchedDay]:
    """Every day of the range on which somebody was scored, in order."""
    policy = model.spec.monitoring
    scored_population(con, model, lake, between, version).create("watched")
    counts = count(con, con.table("watched"), profiles, "as_of")
    scores = _scores(con, model) if counts else {}
    cohorts = _cohorts(con, model.tables(lake), version)
    days = []
    changed = changed_since(model, lake, version)
    for as_of in counted(sorted(counts), "days"):
        otherwise = changed(as_of)
        drifts = compare([p for p in profiles if p.feature not in otherwise], counts[as_of], policy)
        last = next((c for c in cohorts if c["as_of"] + model.spec.label.horizon <= as_of), None)
        estimated = _estimate(model, reference, scores[as_of], last)
        loss = estimated_loss(estimated, reference) or (realised_loss(last) if last else None)
        verdict = judge_day(drifts, policy)
        if otherwise:
            said = f" Not compared, because declared otherwise since version {version} scored: {', '.join(otherwise)}."
            verdict = replace(verdict, reason=verdict.reason + said)
        days.append(WatchedDay(as_of, verdict, drifts, counts[as_of], estimated, loss))
    return days


def changed_since(model: DeclaredModel, lake: Lake, version: int) -> Callable[[date], list[str]]:
    """Of a day, the features that are on record by another definition only than that by which the version scored it."""
    scored = model.tables(lake).predictions.marks(model_version=str(version))
    snapshot = scored_snapshot(model, lake, version)

    def changed(as_of: date) -> list[str]:
        found = snapshot.definitions(as_of)
        return unlike(scored[as_of].definitions, found) if as_of in scored and found else []

    return changed


def scored_snapshot(model: DeclaredModel, lake: Lake, version: int) -> AsTrained:
    """The snapshots as a version reads them, by the definitions of the newest day that it has scored."""
    scored = model.tables(lake).predictions.marks(model_version=str(version))
    pinned = scored[max(scored)].definitions if scored else None
    return as_trained(model.group, lake, pinned)


def scored_population(
    con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, between: Between, version: int
) -> duckdb.DuckDBPyRelation:
    """The members of the population that a version has scored, with their features and scores."""
    predictions = (
        model.tables(lake).predictions.read(con, between=between).filter(f"model_version = {version}")
    )
    predictions.create_view("scored", replace=True)
    snapshot = scored_snapshot(model, lake, version)
    snapshot.rows(con, between, entity=model.entity).create_view("scored_snapshot", replace=True)
    said = "score, probabilities" if model.spec.label.target.kind == "multiclass" else "score"
    return con.sql(
        f"SELECT scored_snapshot.*, {said} FROM scored JOIN scored_snapshot USING ({model.entity}, as_of)"
    )


def _scores(con: duckdb.DuckDBPyConnection, model: DeclaredModel) -> "dict[date, pd.DataFrame]":
    said = "score, probabilities" if model.spec.label.target.kind == "multiclass" else "score"
    frame = con.sql(f"SELECT as_of, {said} FROM watched ORDER BY as_of, {model.entity}").df()
    return {as_of.date(): rows for as_of, rows in frame.groupby("as_of")}


def _cohorts(con: duckdb.DuckDBPyConnection, tables: ModelTables, version: int) -> list[dict[str, Any]]:
    """The matured cohorts of a version that have a verdict, the newest first."""
    if not tables.performance.exists:
        return []
    rows = tables.performance.read(con).filter(f"model_version = {version}").order("as_of DESC")
    return [dict(row) for row in rows.to_arrow_table().to_pylist() if row.get("worse") is not None]


def _estimate(
    model: DeclaredModel,
    reference: "Reference | None",
    scores: "pd.DataFrame",
    last: Mapping[str, Any] | None,
) -> "Estimate | None":
    from ml_assets.monitoring.loss.estimate import estimate
    from ml_assets.monitoring.loss.performance import said_of

    if reference is None:
        return None
    target = model.spec.label.target
    return estimate(target, reference, said_of(target, scores), model.spec.monitoring, last)


def _day_row(day: WatchedDay, version: int, reference: "Reference | None") -> dict[str, Any]:
    estimated = day.estimate
    return {
        "as_of": day.as_of,
        "model_version": version,
        **asdict(day.verdict),
        "estimated_loss": estimated.loss if estimated else None,
        "estimated_deviation": estimated.deviation if estimated else None,
        "reference_loss": reference.loss if reference else None,
        "estimate_trusted": estimated.trusted if estimated else None,
        "estimate": " ".join([estimated.reason, *estimated.doubts]) if estimated else None,
        "losing": day.loss is not None,
        "diagnosis": day.diagnosis,
    }


def _earlier_verdicts(
    con: duckdb.DuckDBPyConnection, tables: ModelTables, between: Between, version: int
) -> list[tuple[date, DayVerdict]]:
    if not tables.drift_days.exists:
        return []
    names = [field.name for field in fields(DayVerdict)]
    rows = tables.drift_days.read(con, columns=["as_of", "model_version", *names], between=between)
    found = rows.filter(f"model_version = {version}").order("as_of").to_arrow_table().to_pylist()
    return [(row["as_of"], DayVerdict(**{name: row[name] for name in names})) for row in found]
