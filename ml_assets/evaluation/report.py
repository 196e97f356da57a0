"""The report of one evaluation: a single HTML file that needs nothing else and calls nobody."""

from collections.abc import Iterable, Sequence
from datetime import date
from html import escape
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from ml_assets.evaluation.bootstrap import (
    Interval,
    RankingMetric,
    clusters,
    metric_interval,
    paired_difference,
)
from ml_assets.evaluation.gates import GATE_DESCRIPTIONS, Decision, GateResult, HoldoutFacts
from ml_assets.evaluation.metrics import Metrics, SliceRow, as_floats, binary_metrics, by_slice, roles_of
from ml_assets.evaluation.plots import data_uri, evaluation_plot, score_histogram

if TYPE_CHECKING:
    import pandas as pd

_RANKING: tuple[tuple[RankingMetric, str], ...] = (("auc", "AUC"), ("average_precision", "Average precision"))
_PLAIN = (
    ("log_loss", "Log loss"),
    ("brier", "Brier score"),
    ("calibration_error", "Calibration error"),
    ("calibration_ratio", "Mean score / base rate"),
)


def evaluation_report(
    *,
    model: str,
    cutoff: date,
    candidate_version: int | str,
    champion_version: int | str | None,
    holdout: "pd.DataFrame",
    facts: HoldoutFacts,
    decision: Decision,
    entity: Sequence[str],
    slices: Sequence[str],
    slice_minimum_n: int = 100,
    draws: int = 1000,
    seed: int = 7,
) -> str:
    """One HTML page: decision, gates, metrics with 95% bootstrap intervals, plots, slices and facts.

    ``holdout`` is what ``judge`` was given. The same arguments give the same page. What can't be measured
    or drawn is said in words in its place.
    """
    problem = _problem(holdout, facts, entity)
    if problem:
        note = f'<p class="note">Nothing to show: {escape(problem)}.</p>'
        measured = pictures = parts = note
    else:
        measured = _metrics_table(holdout, entity, draws, seed)
        pictures = _pictures(holdout)
        parts = _slices(holdout, slices, slice_minimum_n)
    body = [
        _header(model, cutoff, candidate_version, champion_version, decision),
        _section("Gates", _gate_table(decision.gates)),
        _section("Metrics", measured),
        _section("Curves", pictures),
        _section("Slices", parts),
        _section("Holdout", _facts_table(holdout, facts)),
        _section("How to read this", _reading(draws)),
    ]
    before, _, after = _PAGE.partition("{title}")
    return before + escape(f"{model} at {cutoff}") + after.replace("{body}", "\n".join(body))


def _problem(holdout: "pd.DataFrame", facts: HoldoutFacts, entity: Sequence[str]) -> str | None:
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
    labels = as_floats(holdout["label"])
    if set(np.unique(labels)) != {0.0, 1.0}:
        return "the labels are not of both classes, 0 and 1"
    for role in roles_of(holdout):
        if not np.isfinite(as_floats(holdout[f"score_{role}"])).all():
            return f"the {role} has scores that are not finite numbers"
    return None


def _header(
    model: str, cutoff: date, candidate: int | str, champion: int | str | None, decision: Decision
) -> str:
    against = f"champion version {champion}" if champion is not None else "no champion yet"
    word, look = ("PASS", "pass") if decision.passed else ("REFUSED", "fail")
    open_gates = [gate for gate in decision.gates if gate.status != "PASS"]
    count = len(decision.gates)
    why = f"All {count} gates pass."
    if open_gates:
        names = ", ".join(gate.name for gate in open_gates)
        why = f"{len(open_gates)} of {count} gates {'does' if len(open_gates) == 1 else 'do'} not pass: {names}."
    return (
        f'<header><div><p class="kicker">Evaluation</p><h1>{escape(model)}</h1>'
        f'<p class="who">cutoff <b>{cutoff}</b> · candidate <b>version {escape(str(candidate))}</b> · '
        f"{escape(against)}</p></div>"
        f'<div class="verdict {look}"><strong>{word}</strong><span>{escape(why)}</span></div></header>'
    )


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]], *, look: str = "") -> str:
    """A table of cells that are HTML already."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table class="{look}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _gate_table(gates: Sequence[GateResult]) -> str:
    looks = {"PASS": "pass", "FAIL": "fail", "NOT EVALUATED": "open"}
    rows = [
        (
            f'<span class="badge {looks[gate.status]}">{gate.status}</span>',
            f'<b title="{escape(GATE_DESCRIPTIONS.get(gate.name, gate.name))}">{escape(gate.name)}</b>'
            f"<p>{escape(gate.reason)}</p>",
            _lines(gate.observed),
            _lines(gate.required),
        )
        for gate in gates
    ]
    return _table(("Status", "Gate and reason", "Observed", "Required"), rows, look="gates")


def _lines(text: str) -> str:
    return "<br>".join(
        escape(part.strip().replace("> ", ">\u00a0").replace(">= ", ">=\u00a0")) for part in text.split(";")
    )


def _metrics_table(holdout: "pd.DataFrame", entity: Sequence[str], draws: int, seed: int) -> str:
    roles, labels, who = roles_of(holdout), as_floats(holdout["label"]), clusters(holdout, entity)
    scores = {role: as_floats(holdout[f"score_{role}"]) for role in roles}
    measured = {role: binary_metrics(labels, score) for role, score in scores.items()}
    rows = [
        (
            f"<b>{name}</b>",
            *(_interval(metric_interval(labels, scores[r], who, metric, draws, seed)) for r in roles),
            *(
                _interval(
                    paired_difference(labels, scores["candidate"], scores[r], who, metric, draws, seed),
                    sign="+",
                )
                for r in roles[1:]
            ),
        )
        for metric, name in _RANKING
    ]
    rows += [
        (
            f"<b>{name}</b>",
            *(_number(getattr(measured[r], key)) for r in roles),
            *_gaps(measured, key, roles[1:]),
        )
        for key, name in _PLAIN
    ]
    head = ("", *(_legend(role) for role in roles), *(f"candidate − {role}" for role in roles[1:]))
    return _table(head, rows, look="numbers")


def _gaps(measured: dict[str, Metrics], key: str, others: Sequence[str]) -> list[str]:
    if key == "calibration_ratio":
        return [""] * len(others)
    mine = getattr(measured["candidate"], key)
    return [_number(mine - getattr(measured[role], key), sign="+") for role in others]


def _legend(role: str) -> str:
    return f'<i class="dot {role}"></i>{role}'


def _interval(interval: Interval, sign: str = "") -> str:
    if isnan(interval.low):
        return _number(interval.observed, sign)
    low, high = (f"{value:{sign}.3f}" for value in (interval.low, interval.high))
    return f"{_number(interval.observed, sign)}<small>{low} to {high}</small>"


def _number(value: float | None, sign: str = "") -> str:
    if value is None:
        return "–"
    return '<span class="faint">undefined</span>' if isnan(value) else f"{value:{sign}.4f}"


def _pictures(holdout: "pd.DataFrame") -> str:
    curves = "ROC, precision and recall, and calibration curves of all models on the holdout"
    return (
        f'<img src="{data_uri(evaluation_plot(holdout))}" alt="{curves}">'
        f'<img class="half" src="{data_uri(score_histogram(holdout))}" alt="Scores of the candidate by label">'
    )


def _slices(holdout: "pd.DataFrame", slices: Sequence[str], minimum: int) -> str:
    if not slices:
        return '<p class="note">The model declares no slices.</p>'
    return "".join(_slice_table(holdout, column, minimum) for column in slices)


def _slice_table(holdout: "pd.DataFrame", column: str, minimum: int) -> str:
    if column not in holdout:
        return f'<h3>{escape(column)}</h3><p class="note">The holdout has no such column.</p>'
    roles = roles_of(holdout)
    rows = by_slice(holdout, column)
    shown = [row for row in rows if row.n >= minimum]
    small = [row for row in rows if row.n < minimum]
    head = (
        "Slice",
        "Rows",
        "Positives",
        "Base rate",
        *(f"AUC {_legend(role)}" for role in roles),
        "Score / base rate",
    )
    table = _table(head, [_slice_cells(row, roles) for row in shown], look="numbers") if shown else ""
    rest = ""
    if small:
        names = ", ".join(f"{escape(row.value)} ({row.n})" for row in small[:20])
        more = f" and {len(small) - 20} more" if len(small) > 20 else ""
        rest = f'<p class="note">Too small to judge (fewer than {minimum} rows): {names}{more}.</p>'
    return f"<h3>{escape(column)}</h3>{table}{rest}"


def _slice_cells(row: SliceRow, roles: Sequence[str]) -> tuple[str, ...]:
    mine = row.auc_candidate
    others = [value for role in roles[1:] if (value := getattr(row, f"auc_{role}")) is not None]
    behind = mine is not None and any(value > mine for value in others)
    auc = [_number(getattr(row, f"auc_{role}")) for role in roles]
    auc[0] = f'<span class="behind">{auc[0]}</span>' if behind else auc[0]
    ratio = _number(row.calibration_ratio)
    return (escape(row.value), f"{row.n:,}", f"{row.positives:,}", f"{row.base_rate:.1%}", *auc, ratio)


def _facts_table(holdout: "pd.DataFrame", facts: HoldoutFacts) -> str:
    positives = int((holdout["label"] == 1).sum()) if "label" in holdout else 0
    rate = f"; {positives:,} with label 1 ({positives / len(holdout):.1%})" if len(holdout) else ""
    rows = {
        "Rows": f"{len(holdout):,}{rate}",
        "as_of": f"{facts.holdout_from} to {facts.holdout_to}",
        "Label horizon": f"{facts.horizon_days} days",
        "Labels": "mature" if facts.labels_mature else "not mature",
        "Landed through": str(facts.landed_through or "nothing yet"),
        "Candidate knows the days before": str(facts.candidate_knows_until),
        "Champion knows the days before": str(facts.champion_knows_until or "no champion"),
        "Digest, candidate's rows": facts.digest_candidate or "none",
        "Digest, champion's rows": facts.digest_champion or "no champion",
    }
    cells = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows.items())
    return f"<dl>{cells}</dl>"


def _reading(draws: int) -> str:
    items = {
        "PASS or REFUSED": "A candidate passes if every gate says PASS. NOT EVALUATED is not a pass: what was "
        "not measured is not known to hold.",
        "Candidate, champion, baseline": "The model just trained, the one in use, and a trivial lookup of one "
        "feature. All are scored on the same rows, later than everything they know.",
        "Small numbers under a metric": f"95% percentile intervals of {draws:,} bootstrap draws of entities. "
        "Two models are measured on the same draws, so a difference is known better than either metric. A gate "
        "looks at one side only, so its bound is nearer to the middle.",
        "AUC": "How often a random row with label 1 is scored above one with label 0: 0.5 is a coin, 1 is perfect.",
        "Average precision": "Precision averaged over recall; a coin gets the base rate.",
        "Log loss, Brier score, calibration error": "Lower is better. Calibration error is the mean distance of "
        "score and label rate over ten bins of equal count.",
        "Mean score / base rate": "1 promises as many positives as came; 1.2 promises a fifth too many.",
        "Slices": "A candidate's AUC in red is below that of another model in the slice. Small slices swing by "
        "chance; the gate fails on a loss beyond its limit only.",
    }
    rows = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in items.items())
    return f'<dl class="reading">{rows}</dl>'


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>
:root { color-scheme: light; --ink: #111827; --soft: #6b7280; --line: #e5e7eb; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 36px 32px 64px; color: var(--ink); background: #fff;
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header { display: flex; justify-content: space-between; align-items: stretch; gap: 32px; flex-wrap: wrap; }
h1 { margin: 0; font-size: 34px; line-height: 1.15; letter-spacing: -0.01em; }
h2 { margin: 0 0 10px; font-size: 17px; }
h3 { margin: 18px 0 6px; font-size: 14px; color: var(--soft); font-weight: 600; }
section { margin-top: 36px; }
.kicker { margin: 0; color: var(--soft); font-size: 12px; text-transform: uppercase; letter-spacing: 0.08em; }
.who { margin: 8px 0 0; color: var(--soft); } .who b { color: var(--ink); font-weight: 600; }
.verdict { border-radius: 10px; padding: 14px 22px; max-width: 440px; display: flex; flex-direction: column;
  justify-content: center; }
.verdict strong { font-size: 32px; line-height: 1.15; letter-spacing: 0.02em; }
.verdict span { font-size: 13px; }
.pass { background: #dcfce7; color: #166534; } .fail { background: #fee2e2; color: #991b1b; }
.open { background: #fef3c7; color: #92400e; }
.badge { display: inline-block; padding: 1px 9px; border-radius: 99px; font-size: 11px; font-weight: 700;
  white-space: nowrap; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-size: 12px; font-weight: 600; color: var(--soft); padding: 6px 10px; }
td { padding: 8px 10px; border-top: 1px solid var(--line); vertical-align: top; }
.gates td { font-size: 13px; } .gates p { margin: 2px 0 0; } .gates td:nth-child(n+3) { color: #4b5563; width: 25%; }
.numbers th:nth-child(n+2), .numbers td:nth-child(n+2) { text-align: right; }
.numbers td { padding-top: 6px; padding-bottom: 6px; }
small { display: block; color: var(--soft); font-size: 11.5px; white-space: nowrap; }
.faint { color: #9ca3af; } .behind { color: #b91c1c; }
.note { color: var(--soft); margin: 8px 0 0; }
.dot { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 5px; }
.candidate { background: #1f6feb; } .champion { background: #d97706; } .baseline { background: #9ca3af; }
img { display: block; width: 100%; height: auto; } img.half { width: 50%; margin-top: 14px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 24px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
dl.reading { grid-template-columns: 250px 1fr; gap: 8px 24px; font-size: 13px; }
.reading dt { color: var(--ink); font-weight: 600; }
@media (max-width: 700px) { dl, dl.reading { grid-template-columns: 1fr; } img.half { width: 100%; }
  table { display: block; overflow-x: auto; } }
@media print { body { padding: 0; } section { break-inside: avoid; } * { print-color-adjust: exact; } }
</style>
</head>
<body>
{body}
</body>
</html>
"""
