from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ml_assets.evaluation.gates.judge import judge
from ml_assets.evaluation.report.report import Background, evaluation_report
from ml_assets.evaluation.tables import SLICES, evaluation_schema
from ml_assets.lake import Lake, Provenance, connect, records
from ml_assets.pipeline.run import CannotRun
from ml_assets.pipeline.steps import evaluation as step
from ml_assets.registry.mlflow_registry import Version
from ml_assets.training.tables import CANDIDATE
from ml_assets_tests.evaluation.holdouts import CUTOFF, KINDS, SERVED, measured

FIFTH, FOURTH = Version("lapse", 5, "run-5"), Version("lapse", 4, "run-4")


def test_the_interval_in_the_report_is_the_one_on_record() -> None:
    target, make = KINDS["binary"]
    frame = make(n=600)
    found = measured(frame)
    rows = step._metric_rows(step.Contest(CUTOFF, {}, FIFTH, FOURTH, frame), found)
    page = evaluation_report(found, judge(found, SERVED), Background("lapse", 5, 4, history=rows))
    with connect() as con:
        stored = records(con, rows, evaluation_schema(target).types).to_arrow_table().to_pylist()
    assert [(row["role"], row["model_version"]) for row in stored] == [
        ("candidate", 5),
        ("champion", 4),
        ("baseline", None),
    ]
    for row in stored:
        assert f"{row['low']:.3f} to {row['high']:.3f}" in page
        assert f"{row['auc']:.4f}" in page


@pytest.mark.parametrize("kind", KINDS)
def test_the_rows_of_slices_and_groups_fit_their_table(kind: Any) -> None:
    target, make = KINDS[kind]
    rows = step._part_rows(measured(make(), target=target, groups=("department",)))
    with connect() as con:
        stored = records(con, rows, SLICES.types).to_arrow_table().to_pylist()
    assert [row["kind"] for row in stored] == ["slice"] * 3 + ["group"] * 3
    assert {row["value"] for row in stored} == {"GROCERY", "PRODUCE", "MEAT"}
    assert all(row["calibration_ratio"] > 0 for row in stored)


def test_without_a_candidate_there_is_nothing_to_judge(tmp_path: Path) -> None:
    table = CANDIDATE.table(Lake(str(tmp_path)), "lapse")
    with connect() as con:
        place: Any = SimpleNamespace(con=con, tables=SimpleNamespace(candidate=table))
        nothing = records(con, [], CANDIDATE.types)
        table.replace(nothing, between=(CUTOFF, CUTOFF), provenance=Provenance())
        with pytest.raises(CannotRun, match=f"no candidate of cutoff {CUTOFF}. Materialize lapse/cand"):
            step._record(place, CUTOFF)
