"""Every command, by group."""

import typer

from ml_assets.cli import contract, daily, data, features, gone, models, monitor

app = typer.Typer(
    name="ml-assets",
    cls=gone.Root,
    help="Events to a model that stays right.",
    epilog=(
        "Exit codes: 0 done; 1 the answer is no, or what was asked for is refused; 2 wrong usage; 70 a fault of "
        "ml-assets; 130 interrupted; 141 the output was closed. All commands: docs/commands.md."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
daily.add_to(app)
app.add_typer(data.commands, name="data")
app.add_typer(contract.commands, name="contract")
app.add_typer(features.commands, name="features")
app.add_typer(models.commands, name="models")
app.add_typer(monitor.commands, name="monitor")
