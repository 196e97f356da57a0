"""Judge the candidate of one cutoff on its holdout, against the champion of that time and the baseline."""

import json
import time
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ml_assets.evaluation.facts import HoldoutFacts, Served
from ml_assets.evaluation.gates.judge import Decision, judge
from ml_assets.evaluation.spec import Standard
from ml_assets.evaluation.tables import DECISIONS, SLICES, evaluation_schema
from ml_assets.lake import records
from ml_assets.landing.raw import landed_through
from ml_assets.landing.tables import SourceTables
from ml_assets.monitoring.loss.reference import build_reference
from ml_assets.monitoring.tables import REFERENCES
from ml_assets.pipeline.book import book_of
from ml_assets.pipeline.definitions import check_made_by, of_labels
from ml_assets.pipeline.facts import facts as facts_of_version
from ml_assets.pipeline.holdout import digest_of, holdout_of
from ml_assets.pipeline.run import CannotRun
from ml_assets.pipeline.scorer import Scorer
from ml_assets.pipeline.steps.candidate import CHECKED_ROWS, Workplace
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.in_use import ways_out
from ml_assets.registry.mlflow_registry import RegistryError

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.evaluation.measured import Measured
    from ml_assets.registry.mlflow_registry import Version
    from ml_assets.registry.trial import TrialProcess
    from ml_assets.training.predictor import Scores

Row = dict[str, Any]


@dataclass(frozen=True)
class Contest:
    """Who is judged on what: the candidate of a cutoff, the champion of that time, and the holdout."""

    cutoff: date
    record: Row
    """The candidate's row of the table ``candidate``."""
    candidate: "Version"
    champion: "Version | None"
    holdout: "pd.DataFrame"
    """The labelled population at the cutoff with its features."""

    @property
    def versions(self) -> dict[str, int | None]:
        """Role -> version; a baseline has none."""
        return {
            "candidate": self.candidate.number,
            "champion": self.champion.number if self.champion else None,
            "baseline": None,
        }


@dataclass(frozen=True)
class Judged:
    """The outcome of one cutoff's evaluation, as it is on record."""

    cutoff: date
    run_id: str
    measured: "Measured"
    decision: Decision
    metric_rows: list[Row]
    gate_rows: list[Row]
    slice_rows: list[Row]
    seconds: float


def evaluate_cutoff(place: Workplace, trials: "TrialProcess", cutoff: date) -> Judged:
    """Read, score, measure, judge, write, report.

    Raises CannotRun where none was trained at the cutoff, or its labels or features are by other definitions now.
    """
    from ml_assets.evaluation.measured import measure

    started = time.perf_counter()
    contest = _read(place, cutoff)
    scored = _score(place, contest)
    measured = measure(scored.holdout, _facts(place, contest, scored), standard_of(place.model))
    served = _served(place, trials, contest)
    decision = judge(measured, served, place.model.spec.gates.warn_only)

    history = _earlier_metrics(place, cutoff)
    metric_rows, part_rows = _metric_rows(contest, measured), _part_rows(measured)
    gate_rows = _gate_rows(decision)
    metric_rows[0]["seconds"] = time.perf_counter() - started
    _write(place, contest, measured, metric_rows, part_rows, gate_rows)
    _report(place, contest, measured, decision, served, [*history, *metric_rows])
    return Judged(
        cutoff,
        contest.candidate.run_id,
        measured,
        decision,
        metric_rows,
        gate_rows,
        [row for row in part_rows if row["kind"] == "slice"],
        time.perf_counter() - started,
    )


def standard_of(model: DeclaredModel) -> Standard:
    """By what the model's candidates are measured and judged."""
    spec = model.spec
    features = tuple(model.group.feature_types)
    return Standard(
        spec.label.target, model.entity, spec.gates, spec.slices, spec.groups, spec.costs, features
    )


def _read(place: Workplace, cutoff: date) -> Contest:
    record = _record(place, cutoff)
    check_made_by(of_labels(place.model), place.tables.labels, [cutoff])
    candidate = place.registry.version(place.model.name, record["model_version"])
    book = book_of(place.con, place.model, place.lake, place.registry)
    found = book.reference(cutoff)
    try:
        champion = None if found is None else place.registry.version(place.model.name, found)
    except RegistryError as error:
        raise CannotRun(f"{error} {ways_out(place.registry, book.log())}") from error
    return Contest(
        cutoff, record, candidate, champion, holdout_of(place.con, place.model, place.lake, cutoff)
    )


def _record(place: Workplace, cutoff: date) -> Row:
    table = place.tables.candidate
    found = table.read(place.con, between=(cutoff, cutoff)) if table.exists else None
    newest = found.order("model_version DESC").limit(1) if found is not None else None
    rows = newest.to_arrow_table().to_pylist() if newest is not None else []
    if not rows:
        raise CannotRun(
            f"There is no candidate of cutoff {cutoff}. Materialize {table.name} of that partition first."
        )
    return dict(rows[0])


@dataclass(frozen=True)
class _Scored:
    """The holdout with the scores of all roles."""

    holdout: "pd.DataFrame"
    digests: dict[str, str]
    """Role -> the digest of the rows that a version scored."""
    uncompared: str | None
    """Why the champion could not score the holdout."""


def _score(place: Workplace, contest: Contest) -> _Scored:
    """Have every role score the holdout. Raises CannotRun where the candidate can't."""
    from ml_assets.training.baseline import Baseline

    holdout, scores = contest.holdout, {"candidate": _scores(place, contest, contest.candidate)}
    digests, uncompared = {"candidate": digest_of(holdout)}, None
    if contest.champion is not None:
        try:
            scores["champion"] = _scores(place, contest, contest.champion)
            digests["champion"] = digests["candidate"]
        except CannotRun as error:
            name, number = place.model.name, contest.candidate.number
            uncompared = (
                f"{error} Or a person decides without a comparison: ml-assets models promote {name} {number} --override "
                "--who NAME --why TEXT."
            )
    scores["baseline"] = Baseline.from_json(contest.record["baseline"]).score(holdout)
    columns = {name: column for role, said in scores.items() for name, column in said.columns(role).items()}
    return _Scored(holdout.assign(**columns), digests, uncompared)


def _scores(place: Workplace, contest: Contest, version: "Version") -> "Scores":
    scorer = Scorer.of(place.model, place.registry, version)
    between = (contest.cutoff, contest.cutoff)
    snapshot = scorer.reads(place.con, place.run, place.lake, between)
    scorer.definitions(snapshot, between)
    if snapshot.kept is None:
        return scorer.score(contest.holdout)
    keys = [*place.model.entity, "as_of"]
    rows = snapshot.rows(place.con, between, entity=place.model.entity)
    as_trained = rows.df()[[*keys, *scorer.columns]]
    return scorer.score(scorer.checked(contest.holdout[keys].merge(as_trained, on=keys, how="left")))


def _facts(place: Workplace, contest: Contest, scored: _Scored) -> HoldoutFacts:
    label, cutoff = place.model.spec.label, contest.cutoff
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
        champion_knows_until=contest.champion.cutoff if contest.champion else None,
        digest_candidate=scored.digests["candidate"],
        digest_champion=scored.digests.get("champion"),
        champion_uncompared=scored.uncompared,
    )


def _served(place: Workplace, trials: "TrialProcess", contest: Contest) -> Served:
    """What the fresh process makes of the candidate's artifact, held against the scores kept when it was fitted."""
    from ml_assets.training.frames import check_frame, usable_rows

    model, cutoff = place.model, contest.cutoff
    types = model.group.feature_types
    rows = place.tables.training_set.read(place.con, between=(cutoff, cutoff)).filter("split = 'tune'")
    usable, _ = usable_rows(rows.order(f"as_of, {model.row_key}").df(), types, entity=model.row_key)
    frame = check_frame(
        usable.head(CHECKED_ROWS), types, entity=model.row_key, target=model.spec.label.target
    )
    trial = trials.run(place.registry.artifact(contest.candidate), frame[list(types)])
    return Served(
        same_scores=None if trial.error else list(trial.scores) == contest.record["checked_scores"],
        differing=trial.differing,
        size_bytes=trial.size_bytes,
        latency_ms=trial.latency_ms,
        latency_p99_ms=trial.latency_p99_ms,
        error=trial.error,
    )


def _earlier_metrics(place: Workplace, cutoff: date) -> list[Row]:
    """The metric rows of the cutoffs before, oldest first."""
    table = place.tables.evaluation
    if not table.exists:
        return []
    rows = table.read(place.con).filter(f"cutoff < DATE '{cutoff}'").order("cutoff")
    return [dict(row) for row in rows.to_arrow_table().to_pylist()]


def _metric_rows(contest: Contest, measured: "Measured") -> list[Row]:
    """The metrics of candidate, champion and baseline, in this order; without a champion, of the other two.

    ``low`` and ``high`` are the 95% bootstrap interval of the metric that models are compared by.
    """
    rows = []
    for role, metrics in measured.metrics.items():
        low, high = measured.interval(role)
        about = {"cutoff": contest.cutoff, "role": role, "model_version": contest.versions[role]}
        rows.append({**about, **metrics, "low": low, "high": high})
    return rows


def _gate_rows(decision: Decision) -> list[Row]:
    return [
        {
            "gate": gate.name,
            "status": gate.status,
            "observed": gate.observed,
            "required": gate.required,
            "reason": gate.reason,
        }
        for gate in decision.gates
    ]


def _part_rows(measured: "Measured") -> list[Row]:
    """The slices with the metric of every role, and how the candidate treats each group: rows of ``slices``."""
    slices = [("slice", column, row) for column, rows in measured.slices.items() for row in rows]
    groups = [("group", column, row) for column, found in measured.groups.items() for row in found.rows]
    return [{"kind": kind, "column": column, **vars(row)} for kind, column, row in (*slices, *groups)]


def _write(
    place: Workplace,
    contest: Contest,
    measured: "Measured",
    metric_rows: list[Row],
    part_rows: list[Row],
    gate_rows: list[Row],
) -> None:
    """Put on record what was measured, and last the decision, so that it never stands without its evidence."""
    con, tables, target, cutoff = place.con, place.tables, measured.standard.target, contest.cutoff
    number, between = contest.candidate.number, (cutoff, cutoff)
    judged_by = of_labels(place.model)
    made = place.run.made(tables.candidate, tables.labels).following(judged_by)
    reference = build_reference(
        target, measured.labels, measured.said["candidate"], cutoff=cutoff, model_version=number
    )
    about = {"cutoff": cutoff, "model_version": number}
    decided = about | {
        "champion_version": contest.versions["champion"],
        "holdout": measured.facts.digest_candidate,
        "policy": place.model.policy,
    }
    tables.references.replace(
        records(con, [reference.row()], REFERENCES.types),
        between=between,
        also=f"model_version = {number}",
        provenance=place.run.made(tables.labels, model_version=str(number)).following(judged_by),
    )
    tables.slices.replace(
        records(con, [about | row for row in part_rows], SLICES.types),
        between=between,
        also=f"model_version = {number}",
        provenance=made,
    )
    tables.evaluation.replace(
        records(con, metric_rows, evaluation_schema(target).types), between=between, provenance=made
    )
    gates = [decided | row for row in gate_rows]
    tables.decisions.replace(records(con, gates, DECISIONS.types), between=between, provenance=made)


def _report(
    place: Workplace,
    contest: Contest,
    measured: "Measured",
    decision: Decision,
    served: Served,
    history: list[Row],
) -> None:
    """Add to the candidate's MLflow run what came of its evaluation: metrics, report, card and the holdout."""
    from ml_assets.evaluation.report.report import Background, evaluation_report
    from ml_assets.registry.card import card_markdown
    from ml_assets.registry.card_page import card_html

    model, registry, candidate = place.model, place.registry, contest.candidate
    background = Background(
        model=model.name,
        candidate=candidate.number,
        champion=contest.versions["champion"],
        importance=json.loads(contest.record["importance"]),
        history=history,
        training=_training_facts(contest.record, served),
    )
    card = facts_of_version(book_of(place.con, model, place.lake, registry), model, place.lake, candidate)
    files = {
        "evaluation/report.html": evaluation_report(measured, decision, background),
        "card/card.md": card_markdown(card),
        "card/card.html": card_html(card),
    }
    metrics = {f"holdout_{name}": float(value) for name, value in measured.metrics["candidate"].items()}
    registry.log_result(candidate.run_id, metrics, files)
    registry.log_dataset(
        candidate.run_id,
        model.group.feature_types,
        rows=measured.rows.n,
        name="holdout",
        digest=measured.facts.digest_candidate[:32],
        source=place.tables.labels.uri,
    )


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
