"""The report of one evaluation: a single HTML file that needs nothing else and calls nobody."""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_assets.evaluation.arrays import labels_of, predicted, probabilities_problem, roles_of
from ml_assets.evaluation.costs import Costs
from ml_assets.evaluation.gates.case import HoldoutFacts
from ml_assets.evaluation.gates.judge import Decision
from ml_assets.evaluation.metrics import main_metric
from ml_assets.evaluation.plots import importance_plot, pictures, walk_forward_plot
from ml_assets.evaluation.report.tables import (
    TITLES,
    gate_table,
    group_tables,
    metrics_table,
    slice_tables,
    threshold_section,
)
from ml_assets.evaluation.spec import COMPARED_BY
from ml_assets.pages.parts import facts as terms
from ml_assets.pages.parts import note, picture, section, whole
from ml_assets.training.target import Target

if TYPE_CHECKING:
    import pandas as pd


def evaluation_report(
    *,
    model: str,
    cutoff: date,
    candidate_version: int | str,
    champion_version: int | str | None,
    holdout: "pd.DataFrame",
    facts: HoldoutFacts,
    decision: Decision,
    target: Target,
    entity: Sequence[str],
    slices: Sequence[str],
    groups: Sequence[str],
    costs: Costs | None,
    importance: Mapping[str, float],
    history: Sequence[Mapping[str, Any]],
    training: Mapping[str, str],
    metric: str | None = None,
    slice_minimum_n: int = 100,
    draws: int = 1000,
    seed: int = 7,
) -> str:
    """One HTML page: decision, gates, metrics with 95% bootstrap intervals, plots, slices, groups and facts.

    ``holdout`` is what ``judge`` was given. ``metric`` is what slices are shown by, the main one by default.
    ``importance`` is of the candidate's features, ``history`` the metric rows of this and earlier cutoffs
    (cutoff, role and metrics by name), ``training`` facts to show as they are; each may be empty. The same
    arguments give the same page. What can't be measured or drawn is said in words in its place.
    """
    problem = _problem(target, holdout, facts, entity)
    if problem:
        nothing = note(f"Nothing to show: {problem}.")
        measured = dict.fromkeys(("Metrics", "Curves", "Slices", "Groups"), nothing)
    else:
        shown = metric or main_metric(target)
        measured = {
            "Metrics": metrics_table(target, holdout, entity, draws, seed),
            "Curves": "".join(picture(png, title) for title, png in pictures(target, holdout).items()),
        }
        if target.kind == "binary":
            measured["Thresholds"] = threshold_section(holdout, target, costs)
        measured["Slices"] = slice_tables(holdout, slices, target, shown, slice_minimum_n)
        measured["Groups"] = group_tables(holdout, groups, target, costs, slice_minimum_n)
    sections = [section("Gates", gate_table(decision.gates))]
    sections += [section(title, content) for title, content in measured.items()]
    sections += [
        section("What the candidate leans on", _importance(importance)),
        section("Cutoff by cutoff", _history(target, history)),
        section("Training", terms(training) if training else note("Nothing is told of the training.")),
        section("Holdout", terms(_holdout_facts(target, holdout, facts))),
        section("How to read this", terms(_reading(target, draws), look="reading")),
    ]
    head = _header(model, cutoff, candidate_version, champion_version, decision)
    return whole(f"{model} at {cutoff}", [head, *sections])


def _problem(
    target: Target, holdout: "pd.DataFrame", facts: HoldoutFacts, entity: Sequence[str]
) -> str | None:
    """Why no metric is shown, or None."""
    if holdout.empty:
        return "the holdout is empty"
    missing = [column for column in (*entity, "label", "score_candidate") if column not in holdout]
    if missing:
        return f"the holdout has no column {', '.join(missing)}"
    if holdout[list(entity)].isna().any(axis=None):
        return f"there are rows without {' or '.join(entity)}"
    if not facts.labels_mature:
        return "the labels are not mature, and numbers from them would mislead"
    try:
        labels = labels_of(target, holdout)
        scores = {role: predicted(target, holdout, role) for role in roles_of(holdout)}
    except (KeyError, TypeError, ValueError) as error:
        return f"the holdout can't be read: {error}"
    if labels.min() == labels.max():
        return f"all labels are {labels[0]:g}"
    for role, values in scores.items():
        if not np.isfinite(values).all():
            return f"the {role} has scores that are not finite numbers"
        problem = probabilities_problem(values) if target.kind == "multiclass" else None
        if problem:
            return f"of the {role}, {problem}"
    return None


def _header(
    model: str, cutoff: date, candidate: int | str, champion: int | str | None, decision: Decision
) -> str:
    against = f"champion version {champion}" if champion is not None else "no champion yet"
    word, look = ("PASS", "pass") if decision.passed else ("REFUSED", "fail")
    return (
        f'<header><div><p class="kicker">Evaluation</p><h1>{escape(model)}</h1>'
        f'<p class="who">cutoff <b>{cutoff}</b> · candidate <b>version {escape(str(candidate))}</b> · '
        f"{escape(against)}</p></div>"
        f'<div class="verdict {look}"><strong>{word}</strong><span>{escape(_why(decision))}</span></div></header>'
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


def _importance(importance: Mapping[str, float]) -> str:
    if not importance:
        return note("Nothing is told of the features' importance.")
    return picture(importance_plot(importance), "Importance of the features")


def _history(target: Target, history: Sequence[Mapping[str, Any]]) -> str:
    if len({row["cutoff"] for row in history}) < 2:
        return note("This is the first cutoff that was evaluated.")
    shown = {name: TITLES[name] for name in (*COMPARED_BY[target.kind], "calibration_ratio")}
    return picture(walk_forward_plot(history, shown), "Metrics by cutoff")


def _holdout_facts(target: Target, holdout: "pd.DataFrame", facts: HoldoutFacts) -> dict[str, str]:
    rows = f"{len(holdout):,}"
    if target.kind == "binary" and "label" in holdout and len(holdout):
        positives = int((holdout["label"] == 1).sum())
        rows += f"; {positives:,} with label 1 ({positives / len(holdout):.1%})"
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


def _reading(target: Target, draws: int) -> dict[str, str]:
    shared = {
        "PASS or REFUSED": "A candidate passes if every gate says PASS or WARN. NOT EVALUATED is not a pass: what "
        "was not measured is not known to hold.",
        "Candidate, champion, baseline": "The model just trained, the one in use, and a trivial lookup of one "
        "feature. All are scored on the same rows, later than everything they know.",
        "Small numbers under a metric": f"95% percentile intervals of {draws:,} bootstrap draws of entities. "
        "Models are measured on the same draws, so a difference is known better than either metric. A gate "
        "looks at one side only, so its bound is nearer to the middle.",
    }
    promised = {
        TITLES["calibration_ratio"]: "1 promises as much as came; 1.2 promises a fifth too much."
        + (" Of several classes, the one furthest from 1." if target.kind == "multiclass" else ""),
        "Slices": "A candidate's number in red is below that of another model in the slice. Small slices swing by "
        "chance; the gate fails on a loss beyond its limit only. Numbers are split into bins of about equal count.",
    }
    own: dict[str, dict[str, str]] = {
        "binary": {
            "AUC": "How often a random row with label 1 is scored above one with label 0: 0.5 is a coin, 1 is perfect.",
            "Average precision": "Precision averaged over recall; a coin gets the base rate.",
            "Log loss, Brier score, calibration error": "Lower is better. Calibration error is the mean distance of "
            "score and label rate over ten bins of equal count.",
            "Gain and lift": "Of the rows with the highest scores: the share of all positives they hold, and how many "
            "times as many as chance would. The dotted line is a perfect order.",
        },
        "regression": {
            TITLES["r2"]: "1 is perfect, 0 knows the mean label only, below 0 is worse than the mean.",
            "Errors": "In units of the label; lower is better. The rank correlation asks for the order alone.",
            "Gain": "The share of the labels' sum that the rows with the highest scores hold. The dotted line is a "
            "perfect order.",
        },
        "multiclass": {
            TITLES[
                "skill"
            ]: "1 - log loss / log loss of the class shares: 1 is perfect, 0 knows the shares only.",
            "Log loss, calibration error": "Lower is better. Calibration error is the mean distance of probability and "
            "share over ten bins of equal count, averaged over the classes.",
            "Confusion": "Of the rows of a class, the shares that are taken for each class.",
        },
    }
    return shared | own[target.kind] | promised
