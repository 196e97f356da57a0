"""A table of the lake by its name alone, for tests that have no project at hand; importable without Dagster."""

from ml_assets.features.tables import CATALOGUE, SNAPSHOT, TILES
from ml_assets.lake import Lake, Table
from ml_assets.landing.tables import SourceTables
from ml_assets.project.tables import ModelTables


def table_of(lake: Lake, name: str) -> Table:
    """A table of a source, a feature group or a model, for example ``visits/raw``."""
    owner, _, _ = name.partition("/")
    known = [
        *vars(SourceTables.of(lake, owner)).values(),
        *(schema.table(lake, owner) for schema in (TILES, SNAPSHOT, CATALOGUE)),
        *vars(ModelTables.of(lake, owner)).values(),
    ]
    return next(table for table in known if table.name == name)
