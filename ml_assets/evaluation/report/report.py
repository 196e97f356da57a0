"""The report of one evaluation: a single HTML file that needs nothing else and calls nobody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ml_assets.evaluation.gates.every import GATES
from ml_assets.evaluation.gates.judge import Decision
from ml_assets.evaluation.measured import Measured
from ml_assets.evaluation.plots import importance_plot, pictures, walk_forward_plot
from ml_assets.evaluation.report.tables import TITLES, tables
from ml_assets.evaluation.spec import COMPARED_BY
from ml_assets.pages.html import page


@dataclass(frozen=True)
class Background:
    """What a report tells beside what was measured; what is empty is said to be missing."""

    model: str
    candidate: int
    """The version."""
    champion: int | None
    importance: Mapping[str, float] = field(default_factory=dict)
    """Of the candidate's features."""
    history: Sequence[Mapping[str, Any]] = ()
    """The rows of the table ``evaluation`` of this and earlier cutoffs."""
    training: Mapping[str, str] = field(default_factory=dict)
    """Facts to show as they are."""


def evaluation_report(measured: Measured, decision: Decision, background: Background) -> str:
    """One HTML page: decision, gates, metrics with 95% bootstrap intervals, plots, slices, groups and facts.

    The same arguments give the same page. What can't be measured or drawn is said in words in its place.
    """
    target, problem = measured.standard.target, measured.problem
    shown: dict[str, Any] = {}
    if problem is None:
        shown = tables(measured) | {"pictures": pictures(target, measured.labels, measured.said)}
    importance = background.importance
    return page(
        "evaluation.html",
        model=background.model,
        cutoff=measured.facts.cutoff,
        candidate=background.candidate,
        champion=background.champion,
        kind=target.kind,
        titles=TITLES,
        passed=decision.passed,
        why=_why(decision),
        gates=decision.gates,
        descriptions={gate.name: gate.description for gate in GATES},
        problem=problem,
        importance=importance_plot(importance) if importance else None,
        history=_history(measured, background.history),
        training=background.training,
        holdout=_holdout(measured),
        draws=measured.standard.limits.draws,
        **shown,
    )


def _why(decision: Decision) -> str:
    count = len(decision.gates)
    warned = [gate.name for gate in decision.gates if gate.status == "WARN"]
    refused = [gate.name for gate in decision.gates if gate.status not in ("PASS", "WARN")]
    warning = f" Warned of: {', '.join(warned)}." if warned else ""
    if refused:
        does = "does" if len(refused) == 1 else "do"
        return f"{len(refused)} of {count} gates {does} not pass: {', '.join(refused)}.{warning}"
    return (f"No gate of {count} refuses." if warned else f"All {count} gates pass.") + warning


def _history(measured: Measured, history: Sequence[Mapping[str, Any]]) -> bytes | None:
    """A picture, if there is more than one cutoff."""
    if len({row["cutoff"] for row in history}) < 2:
        return None
    standard = measured.standard
    shown = {name: TITLES[name] for name in (*COMPARED_BY[standard.target.kind], "calibration_ratio")}
    return walk_forward_plot(history, shown, standard.metric)


def _holdout(measured: Measured) -> dict[str, str]:
    facts, rows = measured.facts, f"{measured.rows.n:,}"
    if measured.standard.target.kind == "binary" and len(measured.labels):
        rows += f"; {int(measured.labels.sum()):,} with label 1 ({measured.labels.mean():.1%})"
    return {
        "Rows": rows,
        "as_of": f"{facts.holdout_from} to {facts.holdout_to}",
        "Label horizon": f"{facts.horizon_days} days",
        "Labels": "mature" if facts.labels_mature else "not mature",
        "Landed through": str(facts.landed_through or "nothing yet"),
        "Candidate knows the days before": str(facts.candidate_knows_until),
        "Champion knows the days before": str(facts.champion_knows_until or "no champion"),
        "Digest, candidate's rows": facts.digest_candidate or "none",
        "Digest, champion's rows": facts.digest_champion or "no champion",
    }
