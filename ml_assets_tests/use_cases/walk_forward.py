"""Print the walk-forward history of every model in the data folder: metrics with intervals, decisions, times.

    python -m ml_assets_tests.use_cases.walk_forward

The numbers are read from the tables that the assets have written; only the time of a training set is taken now, by
building each again.
"""

import os
import sys
import time
from typing import Any

from ml_assets.lake import Lake, connect
from ml_assets.operations import opened
from ml_assets.project.model import DeclaredModel
from ml_assets.training.training_set import build_training_set


def main() -> None:
    """One table per model, in Markdown."""
    lake = opened.lake()
    for model in opened.project().models.values():
        if model.tables(lake).evaluation.exists:
            print(f"### {model.name}\n\n{table(model, lake)}\n")


def table(model: DeclaredModel, lake: Lake) -> str:
    """The table of one model."""
    tables, metric = model.tables(lake), model.spec.gates.metric_of(model.spec.label.target)
    with connect() as con:
        rows = tables.evaluation.read(con).order("cutoff").to_arrow_table().to_pylist()
        decided = dict(
            tables.decisions.read(con)
            .aggregate("cutoff, bool_and(status IN ('PASS', 'WARN')) AS passed")
            .fetchall()
        )
        trained = {
            row["cutoff"]: row
            for row in tables.candidate.read(con).order("model_version").to_arrow_table().to_pylist()
        }
        lines = [
            f"| Cutoff | Champion, {metric} | Candidate | Baseline | Decision | Training set, s | Search, s | Fit, s "
            "| Evaluation, s |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for cutoff in sorted(decided):
            own = {row["role"]: row for row in rows if row["cutoff"] == cutoff}
            cells = [_measured(own.get(role), metric) for role in ("champion", "candidate", "baseline")]
            started = time.perf_counter()
            build_training_set(
                con, model.group.snapshot(lake), tables.labels, cutoff, **model.training_set_of(lake)
            )
            seconds = [
                time.perf_counter() - started,
                trained[cutoff]["search_seconds"],
                trained[cutoff]["fit_seconds"],
                own["candidate"]["seconds"],
            ]
            cells += ["passed" if decided[cutoff] else "refused", *(f"{each:.2f}" for each in seconds)]
            lines.append(f"| {cutoff} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _measured(row: dict[str, Any] | None, metric: str) -> str:
    return "none" if row is None else f"{row[metric]:.3f} ({row['low']:.3f} to {row['high']:.3f})"


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
