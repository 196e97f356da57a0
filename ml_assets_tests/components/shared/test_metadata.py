"""What the UI shows of every table, before any run and of the newest."""

from collections.abc import Mapping

import dagster as dg
import pytest

from ml_assets.lake.schema import Schema
from ml_assets_tests.house import House

KEY = "dagster/column_schema"


def said(schema: Schema) -> list[tuple[str, str, str | None]]:
    return [(column.name, column.type, column.described) for column in schema.columns]


def shown(metadata: Mapping[str, object]) -> list[tuple[str, str, str | None]]:
    value = metadata[KEY]
    schema = value.value if isinstance(value, dg.TableSchemaMetadataValue) else value
    assert isinstance(schema, dg.TableSchema)
    return [(column.name, column.type, column.description) for column in schema.columns]


def assets(house: House) -> dict[str, dg.AssetKey]:
    """Table -> the asset of that name."""
    keys = house.defs.resolve_asset_graph().get_all_asset_keys()
    return {name: key for key in keys if (name := key.to_user_string()) in house.project.schemas}


def test_every_asset_with_a_table_says_what_its_columns_are(house: House) -> None:
    graph, schemas = house.defs.resolve_asset_graph(), house.project.schemas
    found = {name: shown(graph.get(key).metadata) for name, key in assets(house).items()}
    assert found == {name: said(schemas[name]) for name in found}
    assert {f"{name.partition('/')[0]}/{schema.asset}" for name, schema in schemas.items()} == set(found)


@pytest.mark.slow
def test_every_materialization_says_the_same(finished: House) -> None:
    schemas = finished.project.schemas
    newest = {
        name: finished.instance.get_latest_materialization_event(key)
        for name, key in assets(finished).items()
    }
    found = {
        name: shown(event.asset_materialization.metadata)
        for name, event in newest.items()
        if event is not None and event.asset_materialization is not None
    }
    assert found == {name: said(schemas[name]) for name in found}
    assert set(newest) - set(found) <= {"churn/actions"}, "written by sensors alone"
