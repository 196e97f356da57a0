"""The page ``docs/tables.md``: every table of the project that comes with the package, from its schema.

``python -m ml_assets.project.tables_page > docs/tables.md`` writes it.
"""

from collections.abc import Iterable, Mapping

from ml_assets.lake.schema import Schema
from ml_assets.project.group import Group
from ml_assets.project.model import DeclaredModel
from ml_assets.project.project import Project
from ml_assets.project.source import Source
from ml_assets.project.tables import Schemas

HEAD = """# Tables

Every table of the lake, for the project that comes with the package: a source, a feature group and two models. Each is
a Delta table `<folder>/<table>`. Days are UTC days, "empty" is NULL, and a normalised loss is 0 of a perfect model and
about 1 of one that knows the label rates alone. A lake that an earlier version wrote may lack columns that came later.

This page is made from the schemas that the code reads: `python -m ml_assets.project.tables_page > docs/tables.md`.
"""


def page(project: Project) -> str:
    """The page, as Markdown."""
    kinds: dict[str, Mapping[str, Source | Group | DeclaredModel]] = {
        "Source": project.sources,
        "Feature group": project.groups,
        "Model": project.models,
    }
    parts = [HEAD]
    for kind, declared in kinds.items():
        names = ", ".join(f"`{name}`" for name in declared)
        parts.append(f"## {kind if len(declared) == 1 else kind + 's'} {names}\n")
        parts += _sections({name: each.schemas for name, each in declared.items()})
    return "\n".join(parts)


def _sections(owners: Mapping[str, Schemas]) -> list[str]:
    """A section a table; owners whose table has the same columns share one."""
    sections = []
    for name in next(iter(owners.values()), {}):
        alike: dict[Schema, list[str]] = {}
        for owner, schemas in owners.items():
            alike.setdefault(schemas[name], []).append(f"`{owner}/{name}`")
        sections += [_section(", ".join(tables), schema) for schema, tables in alike.items()]
    return sections


def _section(title: str, schema: Schema) -> str:
    writer = schema.writer or f"the asset `{schema.asset}`"
    partitions = ", ".join(f"`{column}`" for column in schema.partition_by)
    rows = [
        _row([f"`{column.name}`", f"`{column.type}`", column.unit or "", column.means])
        for column in schema.columns
    ]
    lines = [
        f"### {title}\n",
        f"{schema.holds}\n",
        f"Written by {writer}. Partitions: {partitions}.\n",
        _row(["Column", "Type", "Unit", "Meaning"]),
        "|---|---|---|---|",
        *rows,
        "",
    ]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    print(page(Project.of("ml_assets.defs")), end="")
