"""Commands about contracts: write a first one from data, compare two versions of one."""

from pathlib import Path
from typing import Annotated

import typer

from ml_assets.cli import show
from ml_assets.cli.shared import Json, group
from ml_assets.instance.refusal import Refusal

commands = group("Write a first contract from data, or compare two versions of one.")


@commands.command()
def infer(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Landing files of one source.")],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The source's name (default: the folder of the files).")
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            metavar="CHARACTER", help="What is between two fields of CSV files (default: found out)."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write to this file, which must not exist, instead of printing."),
    ] = None,
) -> int:
    """Print a first contract for landing files."""
    from ml_assets.lake import connect
    from ml_assets.landing.drafting.infer import infer as draft

    with connect() as con:
        found = draft(con, files, name=name or files[0].resolve().parent.name, delimiter=delimiter)
    if out is None:
        show.text(found, end="")
        return 0
    if out.exists():
        raise Refusal(f"{out} exists; remove it, or compare with `ml-assets contract diff`")
    out.write_text(found)
    show.note(f"{out} is written; read what it guessed before you use it")
    return 0


@commands.command()
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A contract.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The same, changed.")],
    json: Json = False,
) -> int:
    """Name breaking and safe changes; exit 1 if one is breaking."""
    from ml_assets.contracts.compare.diff import diff as changes_of

    changes = changes_of(old, new)
    breaking = sum(change.kind == "breaking" for change in changes)
    if json:
        show.as_json(changes)
    else:
        for change in changes:
            show.text(f"{change.kind:<8}  {change.where}  {change.text}")
        show.text(f"{breaking} breaking, {len(changes) - breaking} safe changes")
    return 1 if breaking else 0
