"""The command line: a thin layer over the functions that the assets use."""

import argparse
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ml_assets.cli import backtest as cli_backtest
from ml_assets.cli import drill as cli_drill
from ml_assets.cli import features as cli_features
from ml_assets.cli import lineage as cli_lineage
from ml_assets.cli import models as cli_models
from ml_assets.cli import monitor as cli_monitor
from ml_assets.cli import sources as cli_sources
from ml_assets.instance import home
from ml_assets.instance.refusal import Refusal

if TYPE_CHECKING:
    import dagster as dg

    from ml_assets.project.project import Project


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = _parser().parse_args(arguments)
    _environment()
    try:
        return int(options.run(options))
    except Refusal as refusal:
        print(f"ml-assets: {refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; what is written is whole, and the same command goes on from here", file=sys.stderr)
        return 130


def _environment() -> None:
    os.environ.setdefault("DAGSTER_HOME", str(home.dagster_home()))
    for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
        os.environ.setdefault(name, "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    for library in ("dagster", "ml_assets", "mlflow"):
        warnings.filterwarnings("ignore", module=library)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ml-assets", description="Events to a model that stays right.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    up = command("up", up_command, "Land the sample, materialize everything, serve the UI in the background.")
    up.add_argument(
        "--cutoffs", type=int, default=12, help="how many of the newest cutoffs to train (default 12)"
    )
    command("init", init_command, "Prepare the Dagster instance and MLflow's database.")
    land = command("land", land_command, "Play the producer: write landing files, one a day.")
    land.add_argument("source", choices=["completejourney"])
    land.add_argument("--from", dest="start", type=date.fromisoformat, help="first day, YYYY-MM-DD")
    land.add_argument("--days", type=int, help="how many days")
    materialize = command(
        "materialize", materialize_command, "Materialize whatever is missing, with progress."
    )
    materialize.add_argument(
        "--cutoffs", type=int, default=12, help="how many of the newest cutoffs to train"
    )
    serve = command("serve", serve_command, "Serve Dagster's and MLflow's UI.")
    serve.add_argument("--background", action="store_true", help="return once both answer")
    command("down", down_command, "Stop what `up` or `serve` left running.")
    check = command("check", check_command, "Run asset checks; exit 1 if an ERROR check failed or never ran.")
    check.add_argument(
        "--select", help="Dagster's asset selection, for example 'group:lapse' or 'transactions/events'"
    )
    check.add_argument("--partition", help="one partition key, for example 2017-12-03")
    text = "What models are trained on."
    training_set = commands.add_parser("training-set", help=text, description=text)
    text = "Build a training set again from the table versions on record; exit 1 if its hash is another."
    rebuild = training_set.add_subparsers(required=True, metavar="ACTION").add_parser(
        "rebuild", help=text, description=text
    )
    rebuild.set_defaults(run=rebuild_command)
    rebuild.add_argument("model")
    rebuild.add_argument("cutoff", type=date.fromisoformat, help="YYYY-MM-DD")
    cli_models.add_to(commands)
    cli_lineage.add_to(commands)
    cli_sources.add_to(commands)
    cli_features.add_to(commands)
    cli_drill.add_to(commands)
    cli_monitor.add_to(commands)
    cli_backtest.add_to(commands)
    return parser


@contextmanager
def instance() -> Iterator["dg.DagsterInstance"]:
    """The project's Dagster instance."""
    import dagster as dg

    home.prepare_dagster_home()
    with dg.DagsterInstance.get() as found:
        yield found


def project() -> "Project":
    """The project that ``ML_ASSETS_DEFS`` names, by default the one in the repository."""
    from ml_assets.project.project import Project

    return Project(os.environ.get("ML_ASSETS_DEFS", "ml_assets.defs"))


def init_command(options: argparse.Namespace) -> int:
    """Create the instance's and MLflow's databases once, before anything uses them; put MLflow's aliases right."""
    from ml_assets.lake import Lake
    from ml_assets.registry import Registry
    from ml_assets.registry.aliases import repair

    with instance():
        pass
    registry = Registry.below(home.data())
    if not (home.data() / "mlflow" / "mlflow.db").exists():
        registry.prepare()
    for note in repair(Lake(home.lake_root()), registry):
        print(f"note: {note}", file=sys.stderr)
    return 0


def land_command(options: argparse.Namespace) -> int:
    """Write the sample's landing files."""
    from ml_assets.landing.completejourney import land

    print(land(home.landing("transactions"), start=options.start, days=options.days))
    return 0


def materialize_command(options: argparse.Namespace) -> int:
    """Materialize what is missing; exit 1 where a phase fails."""
    from ml_assets.definitions import defs, resources
    from ml_assets.landing import NoLandingFiles
    from ml_assets.operations.materialize import materialize
    from ml_assets.registry import Registry

    init_command(options)
    lake = resources()["lake"].lake  # type: ignore[attr-defined]
    try:
        with instance() as running:
            done = materialize(
                project(),
                defs,
                running,
                lake,
                Registry.below(home.data()),
                cutoffs=options.cutoffs,
                tell=lambda line: print(line, flush=True),
            )
    except NoLandingFiles as error:
        raise Refusal(str(error)) from error
    if not done:
        print("  nothing is left to materialize")
    return 1 if any(outcome.is_failure for outcome in done) else 0


def serve_command(options: argparse.Namespace) -> int:
    """Serve both UIs."""
    from ml_assets.instance.servers import serve

    init_command(options)
    return serve(home.root(), background=options.background, **_ports())


def down_command(options: argparse.Namespace) -> int:
    """Stop the servers."""
    from ml_assets.instance.servers import down

    return down(home.root())


def _ports() -> dict[str, int]:
    return {
        "port": int(os.environ.get("ML_ASSETS_PORT", "3000")),
        "mlflow_port": int(os.environ.get("ML_ASSETS_MLFLOW_PORT", "5000")),
    }


def up_command(options: argparse.Namespace) -> int:
    """Everything from nothing to a champion and a UI, telling the time of each phase."""
    times: dict[str, float] = {}

    def timed(name: str, run: object) -> int:
        print(f"{name}", flush=True)
        started = time.perf_counter()
        code = int(run(options))  # type: ignore[operator]
        times[name] = time.perf_counter() - started
        return code

    options.background = True
    code = timed("prepare", init_command)
    if not code and not _has_landing_files():
        options.source, options.start, options.days = "completejourney", None, None
        code = timed("land", land_command)
    code = code or timed("materialize", materialize_command)
    code = code or timed("serve", serve_command)
    print("  ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items()))
    return code


def _has_landing_files() -> bool:
    folder: Path = home.landing("transactions")
    return folder.is_dir() and any(path.suffix == ".parquet" for path in folder.iterdir())


def check_command(options: argparse.Namespace) -> int:
    """Run checks and print a table of those that did not pass."""
    from ml_assets.definitions import defs
    from ml_assets.operations.check_run import NothingToCheck, run_checks

    with instance() as running:
        try:
            outcomes = run_checks(defs, running, options.select, options.partition)
        except NothingToCheck as error:
            raise Refusal(str(error)) from error
    for outcome in outcomes:
        if outcome.status != "passed":
            print(f"{outcome.status:<9}  {outcome.asset}  {outcome.check}\n           {outcome.message}")
    counts = {s: sum(o.status == s for o in outcomes) for s in ("passed", "warned", "failed", "never ran")}
    print(", ".join(f"{number} {status}" for status, number in counts.items()))
    return 1 if any(outcome.is_error for outcome in outcomes) else 0


def rebuild_command(options: argparse.Namespace) -> int:
    """Compare the stored training set with one built from the versions it was made of."""
    from ml_assets.definitions import resources
    from ml_assets.lake import LakeError, connect
    from ml_assets.training.training_set import rebuild_training_set

    models = project().models
    if options.model not in models:
        raise Refusal(f"there is no model {options.model}; there are {', '.join(models)}")
    model, lake = models[options.model], resources()["lake"].lake  # type: ignore[attr-defined]
    tables, snapshot = model.tables(lake), model.group.snapshot(lake)
    try:
        with connect() as con:
            built = rebuild_training_set(
                con,
                snapshot,
                tables.labels,
                tables.training_set,
                options.cutoff,
                **model.training_set_of(lake),
            )
    except LakeError as error:
        raise Refusal(str(error)) from error
    for name, version in built.versions.items():
        print(f"from {name} version {version}")
    print(f"{built.rows} rows, content hash {built.digest}")
    if not built.is_same:
        print(f"stored are others, content hash {built.stored_digest}")
    return 0 if built.is_same else 1


def run() -> None:
    """Run the command line's command and leave at once.

    DuckDB's bindings print a page about leaked references when the interpreter winds down; by then
    everything is written and closed, so nothing is lost by not winding down.
    """
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
