"""Judge the candidate of one cutoff on its holdout, against the champion of that time and the baseline."""

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb

from ml_assets.components.candidate import CHECKED_ROWS
from ml_assets.components.metadata import made_by
from ml_assets.components.model import Bound, ModelTables
from ml_assets.evaluation.gates import Decision, HoldoutFacts, judge
from ml_assets.lake import Lake, records
from ml_assets.landing.raw import SourceTables, landed_through

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.registry import Registry, Version

METRICS_COLUMNS = {
    "cutoff": "DATE",
    "role": "VARCHAR",
    "model_version": "BIGINT",
    "n": "BIGINT",
    "positives": "BIGINT",
    "auc": "DOUBLE",
    "average_precision": "DOUBLE",
    "log_loss": "DOUBLE",
    "brier": "DOUBLE",
    "calibration_ratio": "DOUBLE",
}
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
}


GATE_COLUMNS = ("name", "status", "observed", "required", "reason")


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

    @property
    def can_be_drawn(self) -> bool:
        """Whether there are both labels and finite scores to draw curves of."""
        import numpy as np

        scores = self.holdout.filter(like="score_").to_numpy(dtype="float64")
        return self.holdout["label"].nunique() == 2 and bool(np.isfinite(scores).all())


def evaluate_cutoff(
    context: dg.AssetExecutionContext,
    con: duckdb.DuckDBPyConnection,
    model: Bound,
    lake: Lake,
    registry: "Registry",
    cutoff: date,
) -> Judged:
    """Score the holdout with all three, judge, and write metrics, decision record and report."""
    from ml_assets.evaluation.metrics import by_slice
    from ml_assets.evaluation.report import evaluation_report
    from ml_assets.registry.promotion import read_verdicts, reference, withdrawn
    from ml_assets.training.fit import Baseline, score

    tables = model.tables(lake)
    record = _record(con, tables, cutoff)
    candidate = registry.version(model.name, record["model_version"])
    passed = reference(read_verdicts(con, tables.decisions), withdrawn(con, tables.promotions), cutoff)
    champion = (
        registry.version(model.name, passed)
        if passed is not None
        else _earlier_champion(registry, model, cutoff)
    )
    holdout = _holdout(con, model, lake, cutoff)
    booster = registry.load(candidate)
    scored = holdout.assign(
        score_candidate=score(booster, holdout),
        score_baseline=Baseline.from_json(record["baseline"]).score(holdout),
    )
    digests = [_digest(holdout), None]
    if champion is not None:
        scored = scored.assign(score_champion=score(registry.load(champion), holdout))
        digests[1] = _digest(holdout)
    facts = _facts(con, model, lake, cutoff, champion, digests)
    decision = judge(
        scored,
        facts,
        model.spec.gates,
        entity=model.entity,
        slices=model.spec.slices,
        reloads=_reloads(con, model, tables, booster, record, cutoff),
    )
    metric_rows = _metric_rows(scored, cutoff, candidate, champion)
    gate_rows = [{name: getattr(gate, name) for name in GATE_COLUMNS} for gate in decision.gates]
    gate_rows = [{"gate": row.pop("name"), **row} for row in gate_rows]
    _write(context, con, tables, cutoff, candidate, champion, metric_rows, gate_rows, facts.digest_candidate)
    report = evaluation_report(
        model=model.name,
        cutoff=cutoff,
        candidate_version=candidate.number,
        champion_version=champion.number if champion else None,
        holdout=scored,
        facts=facts,
        decision=decision,
        entity=model.entity,
        slices=model.spec.slices,
        slice_minimum_n=model.spec.gates.slice_minimum_n,
    )
    own = {f"holdout_{name}": metric_rows[0][name] for name in list(METRICS_COLUMNS)[5:]}
    registry.log_result(candidate.run_id, own, {"evaluation/report.html": report})
    slice_rows = [{"slice": c, **vars(row)} for c in model.spec.slices for row in by_slice(scored, c)]
    return Judged(cutoff, candidate.run_id, scored, decision, metric_rows, gate_rows, slice_rows)


def _metric_rows(
    scored: "pd.DataFrame", cutoff: date, candidate: "Version", champion: "Version | None"
) -> list[dict[str, Any]]:
    """The metrics of candidate, champion and baseline, in this order; without a champion, of the other two."""
    from ml_assets.evaluation.metrics import binary_metrics

    roles = {
        "candidate": candidate.number,
        "champion": champion.number if champion else None,
        "baseline": None,
    }
    rows = []
    for role, version in roles.items():
        if f"score_{role}" in scored:
            metrics = binary_metrics(scored["label"].to_numpy(), scored[f"score_{role}"].to_numpy())
            found = {name: getattr(metrics, name) for name in list(METRICS_COLUMNS)[3:]}
            rows.append({"cutoff": cutoff, "role": role, "model_version": version} | found)
    return rows


def _digest(holdout: "pd.DataFrame") -> str:
    """SHA-256 of the rows as they are when they are scored."""
    import pandas as pd

    return hashlib.sha256(pd.util.hash_pandas_object(holdout, index=False).to_numpy().tobytes()).hexdigest()


def _earlier_champion(registry: "Registry", model: Bound, cutoff: date) -> "Version | None":
    champion = registry.champion(model.name)
    return champion if champion is not None and champion.cutoff < cutoff else None


def _record(con: duckdb.DuckDBPyConnection, tables: ModelTables, cutoff: date) -> dict[str, Any]:
    rows = tables.candidate.read(con, between=(cutoff, cutoff)).to_arrow_table().to_pylist()
    if not rows:
        raise dg.Failure(
            f"There is no candidate of cutoff {cutoff}. Materialize {tables.candidate.name} of that partition first.",
            allow_retries=False,
        )
    return dict(rows[0])


def _holdout(con: duckdb.DuckDBPyConnection, model: Bound, lake: Lake, cutoff: date) -> "pd.DataFrame":
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
    return check_frame(rows.df(), model.group.feature_types, entity=model.entity, labelled=True)


def _facts(
    con: duckdb.DuckDBPyConnection,
    model: Bound,
    lake: Lake,
    cutoff: date,
    champion: "Version | None",
    digests: list[str | None],
) -> HoldoutFacts:
    landed = landed_through(con, SourceTables.of(lake, model.source.name).files)
    mature = landed is not None and cutoff + model.spec.label.horizon - timedelta(days=1) <= landed
    return HoldoutFacts(
        cutoff=cutoff,
        holdout_from=cutoff,
        holdout_to=cutoff,
        horizon_days=model.spec.label.days,
        labels_mature=mature,
        landed_through=landed,
        candidate_knows_until=cutoff,
        champion_knows_until=champion.cutoff if champion else None,
        digest_candidate=digests[0] or "",
        digest_champion=digests[1],
    )


def _reloads(
    con: duckdb.DuckDBPyConnection,
    model: Bound,
    tables: ModelTables,
    booster: Any,
    record: dict[str, Any],
    cutoff: date,
) -> bool:
    """Whether the model read back from the registry gives the scores the fitted one gave."""
    import numpy as np

    from ml_assets.training.fit import score
    from ml_assets.training.frames import check_frame

    rows = tables.training_set.read(con, between=(cutoff, cutoff)).filter("split = 'tune'")
    frame = rows.order(f"as_of, {model.entity}").limit(CHECKED_ROWS).df()
    frame = check_frame(frame, model.group.feature_types, entity=model.entity, labelled=True)
    kept = np.asarray(record["checked_scores"])
    again = score(booster, frame)
    return again.shape == kept.shape and bool(np.array_equal(again, kept))


def _write(
    context: dg.AssetExecutionContext,
    con: duckdb.DuckDBPyConnection,
    tables: ModelTables,
    cutoff: date,
    candidate: "Version",
    champion: "Version | None",
    metric_rows: list[dict[str, Any]],
    gate_rows: list[dict[str, Any]],
    digest: str,
) -> None:
    made = made_by(
        context,
        **{tables.candidate.name: tables.candidate.version, tables.labels.name: tables.labels.version},
    )
    shared = {
        "cutoff": cutoff,
        "model_version": candidate.number,
        "champion_version": champion.number if champion else None,
        "holdout": digest,
    }
    metrics = records(con, metric_rows, METRICS_COLUMNS)
    gates = records(con, [shared | row for row in gate_rows], DECISION_COLUMNS)
    tables.evaluation.replace(metrics, between=(cutoff, cutoff), metadata=made)
    tables.decisions.replace(gates, between=(cutoff, cutoff), metadata=made)
