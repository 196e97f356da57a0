"""Every table has the columns that its schema says, and the page shows the schemas."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ml_assets.contracts.contract import ROW_IDENTITY
from ml_assets.lake import Lake, connect
from ml_assets.lake.maintenance import tables
from ml_assets.lake.schema import Schema, types_of
from ml_assets.landing.tables import RAW, SourceTables
from ml_assets.project.project import Project
from ml_assets.project.tables import ModelTables
from ml_assets.project.tables_page import page
from ml_assets.training.spec import Label
from ml_assets.training.tables import label_column
from ml_assets_tests.house import MINI
from ml_assets_tests.places import CHECKOUT, FIXTURES

PROJECTS = ("ml_assets.defs", MINI)
SELDOM = {"visits/refused_files", "visits/withheld", "visits/waivers", "churn/actions"}
"""Tables that have nothing to hold where all is well, and no sensor has decided anything."""
OLDER = FIXTURES / "lakes" / "flat_keys" / "lake"


@pytest.fixture(autouse=True)
def landing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The folder that the mini use case's source names by a variable."""
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(tmp_path))


@pytest.fixture(params=PROJECTS)
def schemas(request: pytest.FixtureRequest) -> Mapping[str, Schema]:
    return Project.of(request.param).schemas


def found(lake: Lake, schemas: Mapping[str, Schema]) -> dict[str, dict[str, str]]:
    """Table -> the columns it has; every one is partitioned as its schema says, or reading it raises."""
    with connect() as con:
        return {
            table.name: types_of(
                schemas[table.name].table(lake, table.name.partition("/")[0]).read(con).limit(0)
            )
            for table in tables(lake)
        }


@pytest.mark.slow
def test_every_table_of_a_finished_lake_has_exactly_the_columns_of_its_schema(finished_home: Path) -> None:
    schemas = Project.of(MINI).schemas
    stored = found(Lake(str(finished_home / "data" / "lake")), schemas)
    assert stored == {name: schemas[name].types for name in stored}
    assert set(schemas) - set(stored) <= SELDOM


def test_tables_of_before_have_no_other_columns() -> None:
    schemas = Project.of(MINI).schemas
    stored = found(Lake(str(OLDER)), schemas)
    assert stored
    for name, types in stored.items():
        assert types.items() <= schemas[name].types.items()


def test_whoever_reads_a_schema_is_told_all(schemas: Mapping[str, Schema]) -> None:
    for name, schema in schemas.items():
        assert len(schema.types) == len(schema.columns), f"{name} names a column twice"
        assert schema.types[schema.partition_by[0]] == "DATE"
        assert {*schema.partition_by} <= {*schema.types}
        assert schema.holds.endswith(".")
        assert all(column.means for column in schema.columns), name


def test_every_table_that_code_may_ask_for_has_a_schema() -> None:
    project = Project.of(MINI)
    lake = Lake("nowhere")
    asked = [*vars(SourceTables.of(lake, "visits")).values(), *vars(ModelTables.of(lake, "churn")).values()]
    group = project.groups["visitor_features"]
    asked += [group.tiles(lake), group.snapshot(lake), group.catalogue(lake)]
    assert {table.name: table.partition_by for table in asked} == {
        name: schema.partition_by for name, schema in project.schemas.items()
    }


def test_a_row_of_raw_is_found_again_by_what_contracts_know_it_by() -> None:
    assert RAW.types == ROW_IDENTITY


def test_a_column_of_classes_says_that_it_holds_their_numbers() -> None:
    label = Label.model_validate({"time_to": "true", "classes": ["7d"], "within": "14d"})
    assert label_column(label, "when it comes").means == "When it comes; the number of the class, from 0."
    assert label_column(label, "when it comes").type == "INTEGER"


def test_the_page_is_that_of_the_schemas() -> None:
    kept = (CHECKOUT / "docs" / "tables.md").read_text()
    assert kept == page(Project.of("ml_assets.defs")), (
        "run: python -m ml_assets.project.tables_page > docs/tables.md"
    )
