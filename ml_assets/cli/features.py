"""Commands about features: what there is, what one means, the SQL it becomes, and their values for a spine."""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.instance.refusal import Refusal

if TYPE_CHECKING:
    from ml_assets.components.features.component import Group
    from ml_assets.features import Feature


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``features``."""
    text = "List features, explain one, show the SQL behind a group, or compute them for a spine."
    features = commands.add_parser("features", help=text, description=text)
    actions = features.add_subparsers(required=True, metavar="ACTION")

    def action(name: str, run: object, said: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=said, description=said)
        sub.set_defaults(run=run)
        return sub

    action("list", list_command, "Print every feature with its meaning.")
    describe = action("describe", describe_command, "Print what a feature means and where it comes from.")
    describe.add_argument("name", help="a feature, or one of its columns")
    plan = action("plan", plan_command, "Print the SQL that a group's features become.")
    plan.add_argument("part", choices=["tiles", "snapshot", "spine"])
    plan.add_argument(
        "--dialect", default="duckdb", help="of which engine, for example spark (default duckdb)"
    )
    at = action("at", at_command, "Add the features to the rows of a spine, a Parquet file.")
    at.add_argument("spine", type=Path, help="a Parquet file with the entity and as_of, a time with its zone")
    at.add_argument("--out", type=Path, required=True, help="the Parquet file to write; it must not exist")
    for sub in (plan, at):
        sub.add_argument("--group", help="the feature group (default: the only one)")


def _groups() -> "dict[str, Group]":
    from ml_assets.cli.app import project

    return project().groups


def _group(name: str | None) -> "Group":
    groups = _groups()
    if name is None and len(groups) == 1:
        return next(iter(groups.values()))
    if name not in groups:
        asked = f"there is no feature group {name}" if name else "name the feature group with --group"
        raise Refusal(f"{asked}; there are {', '.join(groups) or 'none'}")
    return groups[name]


def _declared() -> "Iterator[tuple[Group, Feature]]":
    for group in _groups().values():
        for feature in group.features.features:
            yield group, feature


def list_command(options: argparse.Namespace) -> int:
    """Print all features, a line each."""
    rows = [
        (f"{group.name}.{feature.name}", ", ".join(feature.windows), feature.means or "")
        for group, feature in _declared()
    ]
    widths = [max((len(row[n]) for row in rows), default=0) for n in (0, 1)]
    for name, windows, means in rows:
        print(f"{name:<{widths[0]}}  {windows:<{widths[1]}}  {means}".rstrip())
    return 0


def describe_command(options: argparse.Namespace) -> int:
    """Print one feature's meaning, columns, types and lineage."""
    from ml_assets.features.catalogue import computed
    from ml_assets.features.spec import unknown

    found = [(g, f) for g, f in _declared() if options.name in (f.name, f"{g.name}.{f.name}", *f.columns)]
    if not found:
        names = [feature.name for _, feature in _declared()]
        raise Refusal(f"there is {unknown(options.name, names, 'feature')}")
    for group, feature in found:
        print(f"{group.name}.{feature.name}: {feature.means or 'no meaning is written down'}")
        if feature.description:
            print(f"  {feature.description}")
        print(f"  {computed(feature)}")
        for column, days in feature.columns.items():
            window = f"the last {days} days" if days else "without a limit"
            print(
                f"  {column}  {group.schema[column]}  {window if feature.kind != 'sql' else 'from other features'}"
            )
        if feature.owner:
            print(f"  owner: {feature.owner}")
        if feature.expect:
            expected = feature.expect.model_dump(exclude_none=True)
            print(f"  expected: {', '.join(f'{name} {_plain(value)}' for name, value in expected.items())}")
        print(f"  used by: {', '.join(group.models) or 'no model'}")
        for event in feature.example.events if feature.example else ():
            print(f"  example: {', '.join(f'{name} {value}' for name, value in event.items())}")
        if feature.example:
            print(f"  gives {feature.example.gives}")
        for source in group.sources:
            read = [column for name, column in sorted(group.features.lineage(feature)) if name == source]
            if read:
                print(f"  from {source}/events: {', '.join(read)}")
        for row in _lying(group, list(feature.columns)):
            print(f"  {row}")
    return 0


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return " to ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _lying(group: "Group", columns: list[str]) -> list[str]:
    """How the values of columns lay at the newest as_of of the catalogue, a line each; none before there is one."""
    from ml_assets.definitions import resources
    from ml_assets.features.catalogue import shown
    from ml_assets.lake import connect

    table = group.catalogue(resources()["lake"].lake)  # type: ignore[attr-defined]
    if not table.exists:
        return []
    with connect() as con:
        table.read(con).create_view("catalogue")
        newest = con.sql("SELECT * FROM catalogue WHERE as_of = (SELECT max(as_of) FROM catalogue)")
        found = [row for row in newest.to_arrow_table().to_pylist() if row["name"] in columns]
    lines = [(row, shown(row)) for row in sorted(found, key=lambda row: columns.index(row["name"]))]
    return [
        f"{row['name']} at {row['as_of']}: {said['values']}, {said['empty']} empty" for row, said in lines
    ]


def plan_command(options: argparse.Namespace) -> int:
    """Print the SQL of tiles, of the first snapshot or of a spine."""
    from sqlglot import parse_one

    from ml_assets.features.queries.snapshots import snapshot_query
    from ml_assets.features.queries.spine import spine_query
    from ml_assets.features.queries.tiles import tiles_query

    group = _group(options.group)
    first = group.as_ofs.start.date()
    query = {
        "tiles": lambda: tiles_query(group.features),
        "snapshot": lambda: snapshot_query(group.features, first, first),
        "spine": lambda: spine_query(group.features),
    }[options.part]()
    print(parse_one(query, dialect="duckdb").sql(dialect=options.dialect, pretty=True))
    return 0


def at_command(options: argparse.Namespace) -> int:
    """Write the spine with its features."""
    import duckdb

    from ml_assets.features import FeatureError
    from ml_assets.lake import LakeError, connect
    from ml_assets.notebook import features

    if options.out.exists():
        raise Refusal(f"{options.out} exists; name a file that doesn't, or move it away")
    if not options.spine.is_file():
        raise Refusal(f"there is no file {options.spine}")
    name = _group(options.group).name
    partial = options.out.with_name(f"{options.out.name}.{os.getpid()}.partial")
    try:
        with connect() as con:
            found = features(name).at(con.read_parquet(str(options.spine)))
            found.write_parquet(str(partial))
        os.replace(partial, options.out)
    except (FeatureError, LakeError, duckdb.Error) as error:
        raise Refusal(str(error)) from error
    finally:
        partial.unlink(missing_ok=True)
    print(f"{options.out}", file=sys.stderr)
    return 0
