"""What the UI shows of an asset: column schema, column lineage, tables and pictures."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import duckdb

from ml_assets.lake import Table


def column_schema(
    columns: Mapping[str, tuple[str, str]],
    constraints: Mapping[str, dg.TableColumnConstraints] | None = None,
) -> dg.TableSchema:
    """A column schema from name -> (DuckDB type, description), and what is promised of some columns."""
    promised = constraints or {}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, sql_type, description or None, constraints=promised.get(name))
            for name, (sql_type, description) in columns.items()
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


def stored(
    con: duckdb.DuckDBPyConnection, table: Table, means: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Where a table is, its version and the columns it has, with what they mean where that is said."""
    rows, said = table.read(con), means or {}
    columns = {
        name: (str(kind), said.get(name, "")) for name, kind in zip(rows.columns, rows.types, strict=True)
    }
    return {
        "dagster/uri": table.uri,
        "dagster/column_schema": column_schema(columns),
        "table version": table.version,
    }
