"""Every command, by group."""

from typing import Annotated

import typer

from ml_assets.cli import contract, daily, data, features, gone, models, monitor
from ml_assets.cli.exit_codes import EXIT_CODES


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"ml-assets {version('ml-assets')}")
        raise typer.Exit


app = typer.Typer(
    name="ml-assets",
    cls=gone.Root,
    help="Events to a model that stays right.",
    epilog=(
        f"Exit codes: {'; '.join(f'{code} {word}' for code, (word, _) in EXIT_CODES.items())}. "
        "More: docs/commands.md"
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Events to a model that stays right."""


daily.add_to(app)
app.add_typer(data.commands, name="data")
app.add_typer(contract.commands, name="contract")
app.add_typer(features.commands, name="features")
app.add_typer(models.commands, name="models")
app.add_typer(monitor.commands, name="monitor")
