"""What the UI shows of an asset: column schema, column lineage, tables and pictures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from ml_assets.lake import Table, connect
from ml_assets.lake.schema import Schema, types_of

Promised = Mapping[str, dg.TableColumnConstraints]
"""Column -> what is promised of it."""


def declared(schema: Schema, promised: Promised | None = None) -> dict[str, Any]:
    """What is known of a table before any run: its columns."""
    return {"dagster/column_schema": _column_schema(schema, schema.types, promised or {})}


def stored(table: Table, schema: Schema, promised: Promised | None = None) -> dict[str, Any]:
    """Where a table is, its version, and the columns it has; where alone, before anything has been written."""
    if not table.exists:
        return {"dagster/uri": table.uri}
    with connect() as con:
        types = types_of(table.read(con))
    return {
        "dagster/uri": table.uri,
        "dagster/column_schema": _column_schema(schema, types, promised or {}),
        "table version": table.version,
    }


def _column_schema(schema: Schema, types: Mapping[str, str], promised: Promised) -> dg.TableSchema:
    said = {column.name: column.described for column in schema.columns}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, kind, said.get(name), constraints=promised.get(name))
            for name, kind in types.items()
        ]
    )


def column_lineage(columns: Mapping[str, Iterable[tuple[dg.AssetKey, str]]]) -> dg.TableColumnLineage:
    """Column lineage from column -> the (asset, column) pairs it is computed from."""
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(asset_key=key, column_name=column) for key, column in sources]
            for name, sources in columns.items()
        }
    )


def markdown_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None
) -> dg.MarkdownMetadataValue:
    """Rows as a Markdown table: floats to four digits, nothing for None."""
    names = list(columns or (rows[0] if rows else []))
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines) if rows else "no rows")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def picture(png: bytes, alt: str) -> dg.MarkdownMetadataValue:
    """A PNG picture that the UI shows in place."""
    from ml_assets.pages.figures import as_markdown

    return dg.MetadataValue.md(as_markdown(png, alt))
