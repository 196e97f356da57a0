"""Commands about features: what there is, what one means, the SQL it becomes, and their values for a spine."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ml_assets.cli import shared, show
from ml_assets.cli.shared import GroupOption, Json, known
from ml_assets.instance.refusal import Refusal

if TYPE_CHECKING:
    from ml_assets.features import Feature
    from ml_assets.project.group import Group

commands = shared.group(
    "List features, explain one, show the SQL behind a group, or compute them for a spine."
)


def _groups() -> "dict[str, Group]":
    from ml_assets.operations.opened import project

    return project().groups


def _group(name: str | None) -> "Group":
    groups = _groups()
    if name is None and len(groups) == 1:
        return next(iter(groups.values()))
    if name is None:
        raise Refusal(f"name the feature group with --group; there are {', '.join(groups) or 'none'}")
    return groups[known("feature group", name, groups)]


def _declared() -> "Iterator[tuple[Group, Feature]]":
    for group in _groups().values():
        for feature in group.features.features:
            yield group, feature


def _feature_names(incomplete: str) -> list[str]:
    try:
        return [feature.name for _, feature in _declared() if feature.name.startswith(incomplete)]
    except Exception:
        return []


@commands.command("list")
def list_(json: Json = False) -> int:
    """Print every feature with its windows and meaning."""
    found = list(_declared())
    if json:
        show.as_json(
            [{"group": g.name, "feature": f.name, "windows": f.windows, "means": f.means} for g, f in found]
        )
    else:
        show.table((), [(f"{g.name}.{f.name}", ", ".join(f.windows), f.means or "") for g, f in found])
    return 0


@commands.command()
def describe(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", autocompletion=_feature_names, help="A feature, or one of its columns."
        ),
    ],
    json: Json = False,
) -> int:
    """Print what a feature means and where it comes from."""
    from ml_assets.features.spec import unknown
    from ml_assets.operations.describe import described, lines

    found = [(g, f) for g, f in _declared() if name in (f.name, f"{g.name}.{f.name}", *f.columns)]
    if not found:
        names = [feature.name for _, feature in _declared()]
        raise Refusal(f"there is {unknown(name, names, 'feature')}")
    from ml_assets.operations.opened import lake

    told = [described(group, feature, lake()) for group, feature in found]
    if json:
        show.as_json(told)
    else:
        for line in (line for one in told for line in lines(one)):
            show.text(line)
    return 0


@commands.command()
def plan(
    part: Annotated[
        Literal["tiles", "snapshot", "spine"],
        typer.Argument(metavar="PART", help="tiles, snapshot or spine."),
    ],
    dialect: Annotated[
        str, typer.Option(metavar="ENGINE", help="Of which engine, for example spark.")
    ] = "duckdb",
    group: GroupOption = None,
) -> int:
    """Print the SQL that a group's features become."""
    from sqlglot import parse_one

    from ml_assets.features.queries.snapshots import snapshot_query
    from ml_assets.features.queries.spine import spine_query
    from ml_assets.features.queries.tiles import tiles_query

    chosen = _group(group)
    first = chosen.as_ofs.first
    query = {
        "tiles": lambda: tiles_query(chosen.features),
        "snapshot": lambda: snapshot_query(chosen.features, first, first),
        "spine": lambda: spine_query(chosen.features),
    }[part]()
    try:
        shown = parse_one(query, dialect="duckdb").sql(dialect=dialect, pretty=True)
    except ValueError as error:
        raise Refusal(f"--dialect {dialect}: {error}") from error
    show.text(shown)
    return 0


@commands.command()
def at(
    spine: Annotated[
        Path,
        typer.Argument(
            metavar="SPINE", help="A Parquet file with the entity and as_of, a time with its zone."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The Parquet file to write; it must not exist.")],
    group: GroupOption = None,
) -> int:
    """Add the features to the rows of a spine, a Parquet file."""
    import os

    import duckdb

    from ml_assets.lake import connect
    from ml_assets.notebook import features

    if out.exists():
        raise Refusal(f"{out} exists; name a file that doesn't, or move it away")
    if not spine.is_file():
        raise Refusal(f"there is no file {spine}")
    name = _group(group).name
    partial = out.with_name(f"{out.name}.{os.getpid()}.partial")
    try:
        with connect() as con:
            features(name).at(con.read_parquet(str(spine))).write_parquet(str(partial))
        partial.replace(out)
    except duckdb.Error as error:
        raise Refusal(str(error)) from error
    finally:
        partial.unlink(missing_ok=True)
    show.note(str(out))
    return 0
