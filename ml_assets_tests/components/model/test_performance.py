"""How a model's predictions turned out: the asset, and the check that the model holds up."""

from datetime import date

import dagster as dg

from ml_assets.lake import Provenance, connect
from ml_assets.pipeline.steps.performance import references_of
from ml_assets_tests.house import House, checks, failures

CUTOFF = date(2024, 3, 4)
ASSET = "churn/performance"


def again(house: House) -> tuple[dict[str, dg.MetadataValue], dg.AssetCheckEvaluation]:
    """Materialize the performance of the cutoff; its metadata and its check."""
    result = house.run([ASSET], CUTOFF)
    assert result.success, failures(result)
    (made,) = result.asset_materializations_for_node("churn__performance")
    return dict(made.metadata), checks(result)["holds_up"]


def cohort(house: House) -> dict[str, object]:
    with connect() as con:
        (row,) = house.churn.tables(house.lake).performance.read(con).to_arrow_table().to_pylist()
    return dict(row)


def test_a_cohort_is_held_against_the_holdout_of_its_version(finished: House) -> None:
    tables = finished.churn.tables(finished.lake)
    with connect() as con:
        reference = references_of(con, tables, 1)[1]
        assert references_of(con, tables, 2) == {}
    row = cohort(finished)
    assert row["reference_loss"] == reference.loss == row["loss"], "the cohort of the cutoff is the holdout"
    assert (row["worse"], row["unexpected"], row["diagnosis"]) == (False, False, "stable")
    shown, held = again(finished)
    assert str(shown["loss over time"].value).startswith("![normalised loss over time](data:image/png")
    assert str(shown["cohort"].value).startswith("Version 1 has a normalised loss of")
    assert held.passed
    assert "Against its holdout" in str(held.description)
    inputs = tables.performance.history()[0].inputs
    assert set(inputs) == {f"churn/{name}" for name in ("predictions", "labels", "references", "drift_days")}


def test_labels_that_turned_out_otherwise_are_told(finished: House) -> None:
    labels = finished.churn.tables(finished.lake).labels
    with connect() as con:
        turned = labels.read(con, between=(CUTOFF, CUTOFF)).select("* REPLACE (1 - label AS label)")
        labels.replace(
            con.from_arrow(turned.to_arrow_table()), between=(CUTOFF, CUTOFF), provenance=Provenance()
        )
    _, held = again(finished)
    row = cohort(finished)
    assert (row["worse"], row["unexpected"], row["diagnosis"]) == (True, True, "concept drift")
    assert (held.passed, held.severity, held.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert "beyond the limit of 0.05 and beyond chance" in str(held.description)


def test_a_version_judged_before_references_were_kept_is_said_to_have_none(finished: House) -> None:
    references = finished.churn.tables(finished.lake).references
    with connect() as con:
        nothing = references.read(con).filter("false")
        references.replace(
            con.from_arrow(nothing.to_arrow_table()), between=(CUTOFF, CUTOFF), provenance=Provenance()
        )
    _, held = again(finished)
    assert not held.passed
    assert "materialize churn/evaluation of cutoff 2024-03-04 to have one" in str(held.description)
    row = cohort(finished)
    assert (row["worse"], row["reference_loss"], row["diagnosis"]) == (None, None, None)
    assert row["loss"] is not None
