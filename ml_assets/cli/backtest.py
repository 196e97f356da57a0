"""The command ``backtest-policy``: what each way of retraining would have cost and lost."""

import argparse
import os
import sys
from pathlib import Path

from ml_assets.instance import home
from ml_assets.instance.refusal import Refusal


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``backtest-policy``."""
    text = "Replay a model's history: what retraining never, weekly, by its policy or with hindsight costs and loses."
    command = commands.add_parser("backtest-policy", help=text, description=text)
    command.set_defaults(run=backtest_command)
    command.add_argument("model")


def backtest_command(options: argparse.Namespace) -> int:
    """Print the table, and write it with a plot to data/backtests."""
    from ml_assets.cli.models import opened
    from ml_assets.monitoring.measure.counting import ProfileError
    from ml_assets.monitoring.rehearse.backtest import BacktestError
    from ml_assets.monitoring.show.backtest_plot import backtest_plot
    from ml_assets.monitoring.show.backtest_text import backtest_text
    from ml_assets.operations.backtest import backtest

    with opened(options.model) as shown:
        book = shown.book
        try:
            found = backtest(book.con, shown.model, shown.lake, book.registry, _tell)
        except (BacktestError, ProfileError) as error:
            raise Refusal(str(error)) from error
        metric = shown.model.spec.gates.metric_of(shown.model.spec.label.target)
    folder = home.data() / "backtests"
    text = backtest_text(found.history, found.results, found.yardstick, metric)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{options.model}.png", backtest_plot(found.history, found.results))
    _write(folder / f"{options.model}.md", f"{text}\n![Loss by strategy]({options.model}.png)\n".encode())
    print(text)
    print(f"{folder / options.model}.md and .png are written")
    return 0


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def _tell(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)
