"""What of a declaration counts: its hashes change with what it means, and with nothing else."""

from datetime import date
from pathlib import Path
from textwrap import dedent

import pytest

from ml_assets.features.aggregations.sums import Sum
from ml_assets.lake.definition import hash_of, syntax
from ml_assets.project.model import DeclaredModel
from ml_assets.project.project import Project
from ml_assets_tests.pipeline.steps_only import declare

CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: taps
version: 1.0.0
status: active
schema:
  - name: taps
    properties:
      - {name: tap_id, logicalType: integer, primaryKey: true}
      - {name: who, logicalType: integer, required: true}
      - {name: channel, logicalType: string}
      - {name: amount, logicalType: number, physicalType: "DECIMAL(10,2)", required: true,
         logicalTypeOptions: {minimum: 0}}
      - {name: cents, logicalType: integer, transformLogic: "CAST(amount AS DECIMAL(10,2)) * 100"}
      - {name: occurred_at, logicalType: timestamp, required: true}
    quality:
      - {name: refused_share, metric: invalidValues, unit: percent, mustBeLessOrEqualTo: 60}
"""
FEATURES = """
type: ml_assets.components.FeatureGroup
attributes:
  source: taps
  entity: who
  features:
    - {name: taps, count: "*", windows: [2d, 4d]}
    - {name: spend, sum: amount, where: "channel = 'web'", windows: [4d]}
    - {name: cents, max: cents, windows: [4d]}
    - {name: often, mode: channel, windows: [4d]}
    - {name: mean_spend, sql: "spend / nullif(taps_4d, 0)"}
    - {name: doubled, sql: mean_spend * 2}
"""
MODEL = """
type: ml_assets.components.Model
attributes:
  description: Whether they spend.
  features: by_who
  population: taps_4d > 0
  label: {occurs: amount >= 17, within: 7d}
  cutoffs: {start: 2024-01-07}
  baseline: taps_4d
"""


def declared(folder: Path, *edits: tuple[str, str]) -> dict[str, str]:
    """Every hash of the project after texts have been replaced by others, by the name of what it is of."""
    texts = [CONTRACT, FEATURES, MODEL]
    for old, new in edits:
        assert any(old in text for text in texts), old
        texts = [text.replace(old, new) for text in texts]
    landing = '{path: "landing", pattern: "{date}.csv"}'
    declare(folder, texts[0], landing, date(2024, 1, 1), date(2024, 3, 1))
    (folder / "by_who" / "defs.yaml").write_text(texts[1])
    (folder / "spends").mkdir(exist_ok=True)
    (folder / "spends" / "defs.yaml").write_text(texts[2])
    project = Project(folder)
    model: DeclaredModel = project.models["spends"]
    return {
        **{f"events {name}": hashed for name, hashed in project.sources["taps"].definitions.items()},
        **{f"tiles {name}": hashed for name, hashed in project.groups["by_who"].tile_definitions.items()},
        **dict(project.groups["by_who"].definitions),
        "label": model.label_definition,
        "population": model.population_definition,
        "training": model.training_definition,
    }


def changed(folder: Path, *edits: tuple[str, str]) -> set[str]:
    """What has another hash after the edits, or is new or gone."""
    before, after = declared(folder / "before"), declared(folder / "after", *edits)
    return {name for name in before | after if before.get(name) != after.get(name)}


@pytest.mark.parametrize(
    "edit",
    [
        ("channel = 'web'", "channel='web' /* the shop on the web */"),
        ("spend / nullif(taps_4d, 0)", "(spend /   NULLIF(taps_4d, 0))"),
        ('count: "*",', 'count: "*", means: Taps, owner: "team:x", description: All of them,'),
        ("max: cents,", "max: cents, source: taps, expect: {min: 0},"),
        ("{name: channel,", "{name: channel, description: Where it came from,"),
        ("mustBeLessOrEqualTo: 60}", "mustBeLessOrEqualTo: 60, description: Not too many}"),
        ("version: 1.0.0", "version: 1.0.1"),
        ("amount >= 17", "(amount) >= 17"),
        ("taps_4d > 0\n", "(taps_4d)>0\n"),
        ("within: 7d}\n", "within: 7d}\n  train: {history: 12 cutoffs}\n"),
        (
            "    quality:\n",
            "    quality:\n      - {metric: rowCount, mustBeGreaterThan: 5, severity: warning}\n",
        ),
    ],
    ids=str,
)
def test_words_that_mean_the_same_change_nothing(tmp_path: Path, edit: tuple[str, str]) -> None:
    assert changed(tmp_path, edit) == set()


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (
            ("channel = 'web'", "channel = 'shop'"),
            {"tiles spend__sum", "spend", "mean_spend", "doubled", "training"},
        ),
        (
            ("{name: cents, max: cents,", "{name: cents, min: cents,"),
            {"tiles cents__max", "tiles cents__min"},
        ),
        (("[2d, 4d]", "[2d, 3d, 4d]"), {"taps_3d"}),
        (
            ("spend / nullif(taps_4d, 0)", "spend / nullif(taps_2d, 0)"),
            {"mean_spend", "doubled", "training"},
        ),
        (("(10,2)) * 100", "(10,2)) * 10"), {"events column cents", "tiles cents__max", "cents", "training"}),
        (("minimum: 0", "minimum: 1"), {"events rules of amount"}),
        (("mustBeLessOrEqualTo: 60", "mustBeLessOrEqualTo: 50"), {"events rules"}),
        (("amount >= 17", "amount >= 18"), {"label", "training"}),
        (("taps_4d > 0", "taps_4d > 1"), {"population", "training"}),
        (("within: 7d}\n", "within: 7d}\n  train: {history: 9 cutoffs}\n"), {"training"}),
    ],
)
def test_another_meaning_changes_what_it_is_of_and_what_reads_that(
    tmp_path: Path, edit: tuple[str, str], expected: set[str]
) -> None:
    found = changed(tmp_path, edit)
    assert expected <= found
    assert found - expected <= {"cents", "training"}


def test_another_zone_changes_everything_that_asks_when(tmp_path: Path) -> None:
    zone = (
        "timestamp, required: true}",
        "timestamp, required: true, logicalTypeOptions: {defaultTimezone: Asia/Tokyo}}",
    )
    everything = set(declared(tmp_path / "all"))
    found = changed(tmp_path, zone)
    unmoved = {name for name in everything if name.startswith("events ")} - {
        "events column occurred_at",
        "events column available_at",
    }
    assert found == everything - unmoved


def test_another_way_to_aggregate_counts_as_another_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = declared(tmp_path)
    monkeypatch.setattr(Sum, "version", 2)
    after = declared(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {
        "tiles spend__sum",
        "spend",
        "mean_spend",
        "doubled",
        "training",
    }


def test_hashes_stay_from_release_to_release() -> None:
    """Where this fails, every table of every lake would be due: raise SCHEME, so that they are adopted instead."""
    facts = {
        "tree": syntax(dedent("sum(CASE WHEN a > 1.5 THEN date_diff('day', b, c)::INT ELSE 0 END)")),
        "none": None,
        "empty": [],
        "days": 28,
    }
    assert hash_of(facts) == "d1:e81d53bfca0f06cb34c63cb4"
    assert hash_of({**facts, "empty": {}}) == hash_of(facts) != hash_of({**facts, "days": 29})


def test_what_is_no_expression_is_told() -> None:
    with pytest.raises(ValueError, match="'sum\\(' is not an SQL expression"):
        syntax("sum(")
