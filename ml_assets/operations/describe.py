"""What a feature means, how it is computed, where it comes from, and how its values lie."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ml_assets.features.catalogue import computed, shown
from ml_assets.lake import Lake, connect

if TYPE_CHECKING:
    from ml_assets.features import Feature
    from ml_assets.project.group import Group


@dataclass(frozen=True)
class DescribedColumn:
    """A column of a feature; ``days`` is its window, None without a limit, ``unit`` None where values have their own."""

    name: str
    type: str
    days: int | None
    unit: str | None


@dataclass(frozen=True)
class Described:
    """All there is to say about a feature."""

    group: str
    feature: str
    means: str | None
    description: str | None
    computed: str
    from_features: bool
    """Whether it is computed from other features, so that its columns have no window of their own."""
    columns: list[DescribedColumn]
    owner: str | None
    expected: Mapping[str, Any]
    used_by: list[str]
    example: list[Mapping[str, Any]]
    gives: Any
    reads: Mapping[str, list[str]]
    """Source -> the columns of its events."""
    values: list[Mapping[str, Any]] = field(default_factory=list)
    """By column: how its values lay at the newest as_of of the catalogue; none before there is one."""


def described(group: "Group", feature: "Feature", lake: Lake) -> Described:
    """What is declared of a feature, and what the catalogue has measured."""
    lineage = sorted(group.features.lineage(feature))
    reads = {source: [column for name, column in lineage if name == source] for source in group.sources}
    example = feature.example
    return Described(
        group=group.name,
        feature=feature.name,
        means=feature.means,
        description=feature.description,
        computed=computed(feature),
        from_features=feature.kind == "sql",
        columns=[
            DescribedColumn(
                name,
                group.feature_types[name],
                days,
                feature.aggregation.unit if feature.aggregation else None,
            )
            for name, days in feature.columns.items()
        ],
        owner=feature.owner,
        expected=feature.expect.model_dump(exclude_none=True) if feature.expect else {},
        used_by=list(group.models),
        example=list(example.events) if example else [],
        gives=example.gives if example else None,
        reads={source: columns for source, columns in reads.items() if columns},
        values=_values(group, list(feature.columns), lake),
    )


def _values(group: "Group", columns: list[str], lake: Lake) -> list[Mapping[str, Any]]:
    table = group.catalogue(lake)
    if not table.exists:
        return []
    with connect() as con:
        table.read(con).create_view("catalogue")
        newest = con.sql("SELECT * FROM catalogue WHERE as_of = (SELECT max(as_of) FROM catalogue)")
        found = [row for row in newest.to_arrow_table().to_pylist() if row["name"] in columns]
    return [
        {"name": row["name"], "as_of": row["as_of"], **shown(row)}
        for row in sorted(found, key=lambda row: columns.index(row["name"]))
    ]


def lines(one: Described) -> Iterator[str]:
    """The same for a person."""
    yield f"{one.group}.{one.feature}: {one.means or 'no meaning is written down'}"
    if one.description:
        yield f"  {one.description}"
    yield f"  {one.computed}"
    for column in one.columns:
        window = f"the last {column.days} days" if column.days else "without a limit"
        unit = f", {column.unit}" if column.unit else ""
        yield f"  {column.name}  {column.type}{unit}  {'from other features' if one.from_features else window}"
    if one.owner:
        yield f"  owner: {one.owner}"
    if one.expected:
        yield f"  expected: {', '.join(f'{name} {_plain(value)}' for name, value in one.expected.items())}"
    yield f"  used by: {', '.join(one.used_by) or 'no model'}"
    for event in one.example:
        yield f"  example: {', '.join(f'{name} {value}' for name, value in event.items())}"
    if one.example:
        yield f"  gives {one.gives}"
    for source, columns in one.reads.items():
        yield f"  from {source}/events: {', '.join(columns)}"
    for row in one.values:
        yield f"  {row['name']} at {row['as_of']}: {row['values']}, {row['empty']} empty"


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return " to ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
