"""Judge the candidate of one cutoff on its holdout, against the champion of that time and the baseline."""

import hashlib
import json
import time
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb

from ml_assets.components.model.component import Bound, ModelTables
from ml_assets.components.shared.metadata import made_by
from ml_assets.evaluation import Decision, HoldoutFacts, Served, judge
from ml_assets.evaluation.metrics import COUNTS, METRICS, measure
from ml_assets.lake import Lake, records
from ml_assets.landing.raw import SourceTables, landed_through
from ml_assets.monitoring.loss.reference import REFERENCE_COLUMNS, build_reference
from ml_assets.pipeline.facts import SLICES_COLUMNS
from ml_assets.pipeline.facts import facts as facts_of_version
from ml_assets.pipeline.steps.candidate import CHECKED_ROWS, Workplace
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.registry import Version
    from ml_assets.registry.trial import TrialProcess

DECISION_COLUMNS = {
    "cutoff": "DATE",
    "model_version": "BIGINT",
    "champion_version": "BIGINT",
    "gate": "VARCHAR",
    "status": "VARCHAR",
    "observed": "VARCHAR",
    "required": "VARCHAR",
    "reason": "VARCHAR",
    "holdout": "VARCHAR",
    "policy": "VARCHAR",
}
GATE_COLUMNS = ("status", "observed", "required", "reason")


@dataclass(frozen=True)
class Judged:
    """The outcome of one cutoff's evaluation."""

    cutoff: date
    run_id: str
    holdout: "pd.DataFrame"
    decision: Decision
    metric_rows: list[dict[str, Any]]
    gate_rows: list[dict[str, Any]]
    slice_rows: list[dict[str, Any]]
    seconds: float

    @property
    def can_be_drawn(self) -> bool:
        """Whether there are different labels, and finite scores, to draw curves of."""
        import numpy as np

        scores = self.holdout.filter(like="score_").to_numpy(dtype="float64")
        return self.holdout["label"].nunique() > 1 and bool(np.isfinite(scores).all())


def evaluate_cutoff(place: Workplace, trials: "TrialProcess", cutoff: date) -> Judged:
    """Score the holdout with all three, judge, and write metrics, decision record, report and card."""
    from ml_assets.evaluation.report.report import evaluation_report

    started = time.perf_counter()
    model, registry, spec = place.model, place.registry, place.model.spec
    target, metric = spec.label.target, spec.gates.metric_of(spec.label.target)
    record = _record(place.con, place.tables, cutoff)
    candidate = registry.version(model.name, record["model_version"])
    champion = _champion_of_that_time(place, cutoff)
    holdout = holdout_of(place.con, model, place.lake, cutoff)
    scored, digests = _scored(place, record, holdout, candidate, champion)
    facts = _facts(place, cutoff, champion, digests)
    served = _served(place, trials, candidate, record, cutoff)
    judged_by: dict[str, Any] = {
        "target": target,
        "entity": model.entity,
        "slices": spec.slices,
        "groups": spec.groups,
        "costs": spec.costs,
    }
    decision = judge(scored, facts, spec.gates, served=served, **judged_by)
    metric_rows = _metric_rows(scored, model, cutoff, candidate, champion)
    gate_rows = [{"gate": g.name} | {name: getattr(g, name) for name in GATE_COLUMNS} for g in decision.gates]
    parts = _parts(scored, model, metric)
    history = _earlier_metrics(place, cutoff)
    metric_rows[0]["seconds"] = time.perf_counter() - started
    _write_reference(place, cutoff, candidate, scored)
    _write(place, cutoff, candidate, champion, metric_rows, gate_rows, parts, facts.digest_candidate)
    report = evaluation_report(
        model=model.name,
        cutoff=cutoff,
        candidate_version=candidate.number,
        champion_version=champion.number if champion else None,
        holdout=scored,
        facts=facts,
        decision=decision,
        metric=metric,
        slice_minimum_n=spec.gates.slice_minimum_n,
        importance=json.loads(record["importance"]),
        history=[*history, *metric_rows],
        training=_training_facts(record, served),
        **judged_by,
    )
    own = {f"holdout_{name}": float(metric_rows[0][name]) for name in METRICS[target.kind]}
    _file(place, candidate, own, report, len(holdout), facts.digest_candidate)
    slice_rows = [row for row in parts if row["kind"] == "slice"]
    seconds = time.perf_counter() - started
    return Judged(cutoff, candidate.run_id, scored, decision, metric_rows, gate_rows, slice_rows, seconds)


def _scored(
    place: Workplace,
    record: dict[str, Any],
    holdout: "pd.DataFrame",
    candidate: "Version",
    champion: "Version | None",
) -> "tuple[pd.DataFrame, list[str | None]]":
    """The holdout with the scores of all roles, and the digests of the rows that candidate and champion scored."""
    from ml_assets.training.baseline import Baseline

    roles = {
        "candidate": place.registry.load(candidate).score(holdout),
        "baseline": Baseline.from_json(record["baseline"]).score(holdout),
    }
    digests = [digest_of(holdout), None]
    if champion is not None:
        roles["champion"] = place.registry.load(champion).score(holdout)
        digests[1] = digest_of(holdout)
    columns = {
        name: column for role, scores in roles.items() for name, column in scores.columns(role).items()
    }
    return holdout.assign(**columns), digests


def _file(
    place: Workplace, candidate: "Version", metrics: dict[str, float], report: str, rows: int, digest: str
) -> None:
    """Add to the candidate's MLflow run what came of its evaluation: metrics, report, card and the holdout."""
    from ml_assets.registry.card import card_markdown
    from ml_assets.registry.card_page import card_html

    model, registry = place.model, place.registry
    card = facts_of_version(model.book(place.con, place.lake, registry), model, place.lake, candidate)
    files = {
        "evaluation/report.html": report,
        "card/card.md": card_markdown(card),
        "card/card.html": card_html(card),
    }
    registry.log_result(candidate.run_id, metrics, files)
    registry.log_dataset(
        candidate.run_id,
        model.group.feature_types,
        rows=rows,
        name="holdout",
        digest=digest[:32],
        source=place.tables.labels.uri,
    )


def _champion_of_that_time(place: Workplace, cutoff: date) -> "Version | None":
    """The version that is champion at the cutoff when one walks forward over cutoffs."""
    found = place.model.book(place.con, place.lake, place.registry).reference(cutoff)
    return None if found is None else place.registry.version(place.model.name, found)


def _training_facts(record: dict[str, Any], served: Served) -> dict[str, str]:
    """What the report says of how the candidate was made and how it serves."""
    return {
        "Rows": f"{record['rows']:,}",
        "Search": f"{record['trials']} trials, {record['search_seconds']:.1f} s"
        if record["trials"]
        else "none",
        "Fit": f"{record['fit_seconds']:.2f} s"
        + (f", {record['rounds']} rounds" if record["rounds"] else ""),
        "Loss": f"train {record['train_loss']:.5g}, tune {record['tune_loss']:.5g}",
        "Parameters": ", ".join(f"{k} {v}" for k, v in json.loads(record["parameters"]).items()),
        "Size": f"{served.size_bytes / 1e6:.2f} MB",
        "Latency of one row": f"median {served.latency_ms:.2f} ms, 99% within {served.latency_p99_ms:.2f} ms",
    }


def _metric_rows(
    scored: "pd.DataFrame", model: Bound, cutoff: date, candidate: "Version", champion: "Version | None"
) -> list[dict[str, Any]]:
    """The metrics of candidate, champion and baseline, in this order; without a champion, of the other two.

    ``low`` and ``high`` are the 95% bootstrap interval of the metric that models are compared by.
    """
    from ml_assets.evaluation.bootstrap import resample

    target, gates = model.spec.label.target, model.spec.gates
    numbers = {"candidate": candidate.number, "champion": champion.number if champion else None}
    roles = [role for role in ("candidate", "champion", "baseline") if f"score_{role}" in scored]
    rows = []
    for role in roles:
        row: dict[str, Any] = {"cutoff": cutoff, "role": role, "model_version": numbers.get(role)}
        row |= measure(target, scored, role)
        try:
            drawn = resample(
                target,
                scored,
                [role],
                entity=model.entity,
                metric=gates.metric_of(target),
                draws=gates.draws,
                seed=gates.seed,
            )
        except ValueError:
            row |= {"low": float("nan"), "high": float("nan")}
        else:
            row |= {"low": drawn.interval(role).low, "high": drawn.interval(role).high}
        rows.append(row)
    return rows


def _parts(scored: "pd.DataFrame", model: Bound, metric: str) -> list[dict[str, Any]]:
    """The slices with the metric of every role, and how the candidate treats each group: rows of ``slices``."""
    from ml_assets.evaluation.arrays import as_floats, labels_of
    from ml_assets.evaluation.fairness import by_group
    from ml_assets.evaluation.slices import by_slice
    from ml_assets.evaluation.thresholds import selection_threshold

    spec, target = model.spec, model.spec.label.target
    rows = [
        {"kind": "slice", "column": column, **vars(row)}
        for column in spec.slices
        for row in by_slice(scored, column, target, metric)
    ]
    threshold = None
    if spec.groups and target.kind == "binary":
        labels, scores = labels_of(target, scored), as_floats(scored["score_candidate"])
        threshold = selection_threshold(labels, scores, spec.costs)
    for column in spec.groups:
        for group in by_group(scored, column, target, threshold):
            rows.append({"kind": "group", "column": column, "value": group.group, **vars(group)})
    return rows


def _earlier_metrics(place: Workplace, cutoff: date) -> list[dict[str, Any]]:
    """The metric rows of the cutoffs before, oldest first."""
    table = place.tables.evaluation
    if not table.exists:
        return []
    rows = table.read(place.con).filter(f"cutoff < DATE '{cutoff}'").order("cutoff")
    return [dict(row) for row in rows.to_arrow_table().to_pylist()]


def digest_of(holdout: "pd.DataFrame") -> str:
    """SHA-256 of the rows as they are when they are scored."""
    import pandas as pd

    return hashlib.sha256(pd.util.hash_pandas_object(holdout, index=False).to_numpy().tobytes()).hexdigest()


def _record(con: duckdb.DuckDBPyConnection, tables: ModelTables, cutoff: date) -> dict[str, Any]:
    rows = tables.candidate.read(con, between=(cutoff, cutoff)).to_arrow_table().to_pylist()
    if not rows:
        raise dg.Failure(
            f"There is no candidate of cutoff {cutoff}. Materialize {tables.candidate.name} of that partition first.",
            allow_retries=False,
        )
    return dict(rows[0])


def holdout_of(con: duckdb.DuckDBPyConnection, model: Bound, lake: Lake, cutoff: date) -> "pd.DataFrame":
    """The labelled population at the cutoff with its features."""
    from ml_assets.training.frames import check_frame

    between = (cutoff, cutoff)
    features = list(model.group.feature_types)
    model.group.snapshot(lake).read(
        con, columns=[*model.entity, "as_of", *features], between=between
    ).create_view("holdout_snapshot", replace=True)
    model.tables(lake).labels.read(con, between=between).create_view("holdout_labels", replace=True)
    rows = con.sql(
        f"SELECT holdout_snapshot.*, label FROM holdout_labels JOIN holdout_snapshot USING ({model.entity}, as_of) "
        f"ORDER BY {model.entity}"
    )
    return check_frame(
        rows.df(), model.group.feature_types, entity=model.entity, target=model.spec.label.target
    )


def _facts(
    place: Workplace, cutoff: date, champion: "Version | None", digests: list[str | None]
) -> HoldoutFacts:
    label = place.model.spec.label
    landed = landed_through(place.con, SourceTables.of(place.lake, place.model.source.name).files)
    mature = landed is not None and cutoff + label.horizon - timedelta(days=1) <= landed
    return HoldoutFacts(
        cutoff=cutoff,
        holdout_from=cutoff,
        holdout_to=cutoff,
        horizon_days=label.days,
        labels_mature=mature,
        landed_through=landed,
        candidate_knows_until=cutoff,
        champion_knows_until=champion.cutoff if champion else None,
        digest_candidate=digests[0] or "",
        digest_champion=digests[1],
    )


def _served(
    place: Workplace, trials: "TrialProcess", candidate: "Version", record: dict[str, Any], cutoff: date
) -> Served:
    """What the fresh process makes of the candidate's artifact, held against the scores kept when it was fitted."""
    from ml_assets.training.frames import check_frame

    model = place.model
    types = model.group.feature_types
    rows = place.tables.training_set.read(place.con, between=(cutoff, cutoff)).filter("split = 'tune'")
    frame = rows.order(f"as_of, {model.row_key}").limit(CHECKED_ROWS).df()
    frame = check_frame(frame, types, entity=model.row_key, target=model.spec.label.target)
    trial = trials.run(place.registry.artifact(candidate), frame[list(types)])
    return Served(
        same_scores=None if trial.error else list(trial.scores) == record["checked_scores"],
        differing=trial.differing,
        size_bytes=trial.size_bytes,
        latency_ms=trial.latency_ms,
        latency_p99_ms=trial.latency_p99_ms,
        error=trial.error,
    )


def _write_reference(place: Workplace, cutoff: date, candidate: "Version", scored: "pd.DataFrame") -> None:
    """Keep what the candidate did on its own holdout: what it is held against once it is in use."""
    from ml_assets.evaluation.arrays import labels_of, predicted

    tables, target = place.tables, place.model.spec.label.target
    labels, said = labels_of(target, scored), predicted(target, scored, "candidate")
    reference = build_reference(target, labels, said, cutoff=cutoff, model_version=candidate.number)
    tables.references.replace(
        records(place.con, [reference.row()], REFERENCE_COLUMNS),
        between=(cutoff, cutoff),
        also=f"model_version = {candidate.number}",
        provenance=made_by(place.context, **{tables.labels.name: tables.labels.version}),
    )


def _write(
    place: Workplace,
    cutoff: date,
    candidate: "Version",
    champion: "Version | None",
    metric_rows: list[dict[str, Any]],
    gate_rows: list[dict[str, Any]],
    parts: list[dict[str, Any]],
    digest: str,
) -> None:
    tables = place.tables
    made = made_by(
        place.context,
        **{tables.candidate.name: tables.candidate.version, tables.labels.name: tables.labels.version},
    )
    about = {"cutoff": cutoff, "model_version": candidate.number}
    shared = about | {
        "champion_version": champion.number if champion else None,
        "holdout": digest,
        "policy": place.model.policy,
    }
    metrics = records(place.con, metric_rows, metrics_columns(place.model.spec.label.target))
    gates = records(place.con, [shared | row for row in gate_rows], DECISION_COLUMNS)
    tables.slices.replace(
        records(place.con, [about | row for row in parts], SLICES_COLUMNS),
        between=(cutoff, cutoff),
        also=f"model_version = {candidate.number}",
        provenance=made,
    )
    tables.evaluation.replace(metrics, between=(cutoff, cutoff), provenance=made)
    tables.decisions.replace(gates, between=(cutoff, cutoff), provenance=made)


def metrics_columns(target: Target) -> dict[str, str]:
    """The columns of the table ``evaluation``: name -> DuckDB type."""
    kinds = {name: "BIGINT" if name in COUNTS else "DOUBLE" for name in METRICS[target.kind]}
    shared = {"cutoff": "DATE", "role": "VARCHAR", "model_version": "BIGINT"}
    return {**shared, **kinds, "low": "DOUBLE", "high": "DOUBLE", "seconds": "DOUBLE"}
