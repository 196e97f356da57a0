"""Commands that answer for what was done: train a version again, and follow a prediction back to its events."""

import argparse
from typing import TYPE_CHECKING

from ml_assets.instance import home
from ml_assets.instance.refusal import Refusal

if TYPE_CHECKING:
    from ml_assets.operations.reproduce import Compared


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands ``reproduce`` and ``trace``."""
    text = "Train a version again from what is on record; exit 1 if anything comes out different."
    reproduce = commands.add_parser("reproduce", help=text, description=text)
    reproduce.set_defaults(run=reproduce_command)
    reproduce.add_argument("model")
    reproduce.add_argument("version", type=int)
    text = "Follow a prediction back: version, features as computed, the events behind them, training data, commit."
    trace = commands.add_parser("trace", help=text, description=text)
    trace.set_defaults(run=trace_command)
    trace.add_argument("prediction_id")
    trace.add_argument("--events", type=int, default=10, help="how many events to print (default 10)")


def reproduce_command(options: argparse.Namespace) -> int:
    """Train again and compare hashes and metrics."""
    from ml_assets.cli.app import project
    from ml_assets.definitions import resources
    from ml_assets.lake import LakeError, connect
    from ml_assets.operations.reproduce import reproduce
    from ml_assets.registry import Registry
    from ml_assets.registry.mlflow_registry import RegistryError

    models = project().models
    if options.model not in models:
        raise Refusal(f"there is no model {options.model}; there are {', '.join(models)}")
    lake = resources()["lake"].lake  # type: ignore[attr-defined]
    try:
        with connect() as con:
            found = reproduce(con, models[options.model], lake, Registry.below(home.data()), options.version)
    except (LakeError, RegistryError) as error:
        raise Refusal(str(error)) from error
    print(f"{options.model} version {options.version}, cutoff {found.version.cutoff}, trained again")
    for result in found.results:
        print(_line(result))
    unlike = [one for one in found.circumstances if not one.is_same]
    if not found.is_same:
        print(
            "what differs between then and now, and may explain it:"
            if unlike
            else "code and machine are the same"
        )
        for one in unlike:
            print(_line(one))
    print("the same" if found.is_same else "NOT the same")
    return 0 if found.is_same else 1


def _line(one: "Compared") -> str:
    if one.is_same:
        return f"  {one.name:<14} {one.recorded}  the same"
    return f"  {one.name:<14} {one.recorded}  on record, {one.again} now"


def trace_command(options: argparse.Namespace) -> int:
    """Print what is behind a prediction."""
    from ml_assets.cli.app import project
    from ml_assets.definitions import resources
    from ml_assets.lake import LakeError, connect
    from ml_assets.operations.trace import described, trace
    from ml_assets.registry import Registry
    from ml_assets.registry.mlflow_registry import RegistryError

    lake = resources()["lake"].lake  # type: ignore[attr-defined]
    try:
        with connect() as con:
            found = trace(
                con,
                project().models,
                lake,
                Registry.below(home.data()),
                options.prediction_id,
                shown=options.events,
            )
    except (LakeError, RegistryError) as error:
        raise Refusal(str(error)) from error
    print("\n".join(described(found)))
    return 0
