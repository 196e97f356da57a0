"""The drift report a person reads: Evidently's, on a sample, as one self-contained page and a short table."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_assets.pages.html import page

if TYPE_CHECKING:
    import pandas as pd

VALUE_DRIFT = "ValueDrift"
"""Evidently's name, at the end of a metric's type, for what it says of one column."""


@dataclass(frozen=True)
class DriftReport:
    """Evidently's page, and what it says of each column: rows of column, method, score, threshold, drifted.

    A score that is a p-value has drifted below its threshold, a distance from its threshold on. The table follows
    the columns as they were named; those left out are not in it.
    """

    html: str
    table: tuple[dict[str, Any], ...]


def evidently_report(
    reference: "pd.DataFrame",
    current: "pd.DataFrame",
    *,
    numeric: Sequence[str],
    categorical: Sequence[str],
    seed: int,
    sample: int = 2000,
) -> DriftReport:
    """Evidently's drift report of up to ``sample`` rows of each frame: HTML of 4 to 7 MB, and its verdicts.

    The page embeds its scripts and fetches nothing. It begins with what was compared and names the columns
    left out because one side has no value in its sample. Evidently's telemetry is switched off for the
    process (``DO_NOT_TRACK``). Raises KeyError where a frame lacks a column.
    """
    names = [*numeric, *categorical]
    before = _sampled(reference[names], numeric, categorical, seed, sample)
    after = _sampled(current[names], numeric, categorical, seed, sample)
    without = [name for name in names if before[name].isna().all() or after[name].isna().all()]
    sentences = [
        f"{len(after):,} of {len(current):,} current rows against {len(before):,} of {len(reference):,} training rows, "
        f"drawn with seed {seed}.",
        "The tests and the verdict below are Evidently's own. What calls for a retrain is the verdict of the asset "
        "drift, which looks at all rows, with calibrated thresholds, nulls and the model's weights.",
    ]
    if without:
        sentences.append(f"Left out, because one side has no value: {', '.join(without)}.")
    if len(without) == len(names):
        return DriftReport(page("drift_page.html", sentences=sentences), ())
    shown, table = _render(
        before.drop(columns=without),
        after.drop(columns=without),
        [name for name in numeric if name not in without],
        [name for name in categorical if name not in without],
    )
    return DriftReport(_with_note(shown, page("drift_note.html", sentences=sentences)), tuple(table))


def _sampled(
    frame: "pd.DataFrame", numeric: Sequence[str], categorical: Sequence[str], seed: int, sample: int
) -> "pd.DataFrame":
    """A seeded sample with doubles (infinities as nulls) and texts, in the order of the frame."""
    rows = frame if len(frame) <= sample else frame.sample(n=sample, random_state=seed).sort_index()
    numbers = rows[list(numeric)].astype("float64")
    texts = rows[list(categorical)].astype("string").astype(object)
    return numbers.where(numbers.abs() != float("inf")).join(texts).reset_index(drop=True)


def _render(
    reference: "pd.DataFrame", current: "pd.DataFrame", numeric: list[str], categorical: list[str]
) -> tuple[str, list[dict[str, Any]]]:
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
    snapshot = Report([DataDriftPreset()]).run(
        Dataset.from_pandas(current, definition), Dataset.from_pandas(reference, definition)
    )
    return str(snapshot.get_html_str(as_iframe=False)), _verdicts(snapshot.dict()["metrics"])


def _verdicts(metrics: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What Evidently says of each column. Raises ValueError if it says nothing where it should."""
    found = []
    for metric in metrics:
        config = metric["config"]
        if not config["type"].endswith(VALUE_DRIFT):
            continue
        method, score, threshold = config["method"], float(metric["value"]), float(config["threshold"])
        drifted = score < threshold if "p_value" in method else score >= threshold
        found.append(
            {
                "column": config["column"],
                "method": method,
                "score": score,
                "threshold": threshold,
                "drifted": drifted,
            }
        )
    if not found:
        raise ValueError(
            f"Evidently's result has no {VALUE_DRIFT} metric, so there is no table to show. "
            "Check the version of evidently against pyproject.toml."
        )
    return found


def _with_note(shown: str, note: str) -> str:
    head, tag, rest = shown.partition("<body>")
    if not tag:
        raise ValueError(
            "Evidently's page has no <body> tag, so the note on what was compared has no place. "
            "Check the version of evidently against pyproject.toml."
        )
    return f"{head}{tag}{note}{rest}"
