"""Commands about monitoring: what a model's thresholds promise, and what was done about it."""

import argparse
import time
from typing import TYPE_CHECKING

from ml_assets.instance.refusal import Refusal

if TYPE_CHECKING:
    from ml_assets.monitoring.rehearse.calibrate import Calibration, Caught


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``monitor`` with its actions."""
    text = "What watches a model in use."
    monitor = commands.add_parser("monitor", help=text, description=text)
    actions = monitor.add_subparsers(required=True, metavar="ACTION")
    text = "Print a champion's thresholds, how often they would fire on days like its training, and the shifts they catch."
    calibrate = actions.add_parser("calibrate", help=text, description=text)
    calibrate.set_defaults(run=calibrate_command)
    calibrate.add_argument("model")
    calibrate.add_argument("--days", type=_positive, default=365, help="days to simulate (default 365)")
    calibrate.add_argument("--seeds", type=_positive, default=4, help="how many times (default 4)")
    calibrate.add_argument("--rows", type=_positive, help="rows a day (default: as in training)")
    text = "Print what was done about a model and why, the newest last; also when nothing was done."
    log = actions.add_parser("log", help=text, description=text)
    log.set_defaults(run=log_command)
    log.add_argument("model")
    log.add_argument("--last", type=_positive, default=20, help="how many lines (default 20)")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a number of at least 1")
    return number


def calibrate_command(options: argparse.Namespace) -> int:
    """Simulate days like the champion's training, and shifts."""
    from ml_assets.cli.models import opened
    from ml_assets.monitoring.measure.counting import ProfileError
    from ml_assets.monitoring.rehearse.calibrate import calibrate
    from ml_assets.pipeline.steps.drift import profiles_of
    from ml_assets.registry.promotion_log import champion_on_record

    started = time.perf_counter()
    with opened(options.model) as shown:
        model, con = shown.model, shown.book.con
        tables = model.tables(shown.lake)
        champion = champion_on_record(con, tables.promotions, model.name)
        if champion is None:
            raise Refusal(f"{model.name} has no champion yet. Materialize {model.name}/champion first.")
        columns = ["as_of", *model.entity, *model.group.feature_types]
        rows = tables.training_set.read(con, columns=columns, between=(champion.cutoff, champion.cutoff))
        try:
            found = calibrate(
                rows.order(f"as_of, {model.entity}").df(),
                profiles_of(con, tables, champion.version),
                model.spec.monitoring,
                entity=list(model.entity),
                days=options.days,
                seeds=options.seeds,
                rows=options.rows,
            )
        except ProfileError as error:
            raise Refusal(str(error)) from error
    print(f"{model.name} version {champion.version}, trained at {champion.cutoff}")
    _tell(found)
    print(f"{time.perf_counter() - started:.1f} s")
    return 0


def log_command(options: argparse.Namespace) -> int:
    """Print the log of actions."""
    from ml_assets.cli.models import opened
    from ml_assets.monitoring.act.actions import ActionLog

    with opened(options.model) as shown:
        log = ActionLog(shown.model.tables(shown.lake).actions, shown.model.name)
        rows = log.newest(shown.book.con, options.last)
    for row in reversed(rows):
        print(f"{row['as_of']}  {row['action']:8} {row['decided_by']}: {row['why']}")
    if not rows:
        print(f"Nothing has been decided about {options.model} yet: its sensors write here when they tick.")
    return 0


def _tell(found: "Calibration") -> None:
    from ml_assets.cli.models import _table

    print(f"days drawn from {found.blocks} days of its training rows, {found.rows:,.0f} rows a day\n")
    head = ("feature", "weight", "PSI above", "shift above", "nulls above", "caught within 5 days from")
    rows = [
        (
            profile.feature,
            f"{profile.weight:.1%}",
            f"{profile.psi_threshold:.2f}",
            "-" if profile.shift_threshold is None else f"{profile.shift_threshold:.2f}",
            f"{profile.null_threshold:.1%}",
            _words(caught),
        )
        for profile, caught in zip(found.features, found.alone, strict=True)
    ]
    _table(head, rows)
    print(f"\ntogether, {', '.join(found.together.features) or 'no numbers'}: {_words(found.together)}")
    by_seed = ", ".join(map(str, found.fired))
    print(f"false alarms in {found.days} days, by seed: {by_seed}; {found.alarms_a_year:.2f} a year")
    print(f"days called broken, by seed: {', '.join(map(str, found.broken))}")


def _words(caught: "Caught") -> str:
    return caught.why_not if caught.shift is None else f"{caught.shift:.2f} training deviations"
