"""The commands of every day, over the whole project: up, materialize, check, validate, serve, down."""

from typing import TYPE_CHECKING, Annotated

import typer

from ml_assets.cli import show
from ml_assets.cli.progress import shown
from ml_assets.cli.shared import Cutoffs, Json
from ml_assets.instance import home, progress

if TYPE_CHECKING:
    import dagster as dg

    from ml_assets.operations.materialize import Done
    from ml_assets.pipeline.due.cost import Cost

CUTOFFS = 12
"""How many cutoffs are trained where nobody says."""


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (up, plan, materialize, check, validate, serve, down, init):
        app.command()(command)


def up(cutoffs: Cutoffs = CUTOFFS) -> int:
    """Land the sample, materialize everything, and serve the UI in the background, also where a phase fails."""
    from ml_assets.instance import servers

    servers.require_ports(home.root())
    crash: Exception | None = None
    done: list[Done] = []
    with shown():
        folder = home.landing("transactions")
        if not any(folder.glob("*.parquet")):
            with progress.phase("land the sample"):
                from ml_assets.landing.completejourney import land

                progress.say(str(land(folder)))
        defs = _loaded()
        try:
            done = _materialized(defs, cutoffs)
        except Exception as error:
            crash = error
        code = servers.serve(home.root(), background=True)
    failed = [phase for phase in done if phase.is_failure]
    runs = f"{servers.url(home.root())}/runs" if code == 0 else "ml-assets serve"
    for phase in failed:
        said = "".join(f"\n  {message}" for message in phase.messages)
        show.note(
            f"ml-assets: failed: {phase.phase.in_words}{said}\n  its run: {runs}; mended, `make up` goes on"
        )
    if crash is not None:
        raise crash
    return 1 if failed else code


def materialize(cutoffs: Cutoffs = CUTOFFS, json: Json = False) -> int:
    """Materialize whatever is missing, phase by phase; exit 1 if a phase fails."""
    with shown():
        done = _materialized(_loaded(), cutoffs)
    failed = [phase.phase.title for phase in done if phase.is_failure]
    if json:
        show.as_json([phase.record for phase in done])
    elif not done:
        show.text("nothing is left to materialize")
    else:
        show.text(f"{len(done)} phases, {'failed: ' + ', '.join(failed) if failed else 'none failed'}")
    return 1 if failed else 0


def _loaded() -> "dg.Definitions":
    with progress.phase("load the project"):
        from ml_assets.operations import opened

        defs = opened.definitions()
        for said in opened.prepare():
            progress.say(f"note: {said}")
    return defs


def _materialized(defs: "dg.Definitions", cutoffs: int) -> "list[Done]":
    from ml_assets.operations import opened
    from ml_assets.operations.materialize import materialize

    with opened.instance() as running:
        return materialize(opened.project(), defs, running, opened.lake(), opened.registry(), cutoffs=cutoffs)


def plan(cutoffs: Cutoffs = CUTOFFS, json: Json = False) -> int:
    """Print what `materialize` would build, why, and what that costs, by what is on record; nothing runs or is written."""
    from ml_assets.lake import connect
    from ml_assets.operations import opened
    from ml_assets.pipeline.due.plan import plan as planned

    with connect() as con:
        found = planned(con, opened.checked_project(), opened.lake(), cutoffs)
    if json:
        show.as_json(found)
        return 0
    for each in found:
        is_due = "" if each.is_due else "not due: "
        show.text(
            f"{is_due}{each.table}: {each.slots} slots, {each.first} to {each.last}, with {each.rows:,} rows now"
        )
        if each.inputs_changed:
            show.text(f"  {each.inputs_changed} are missing, or what they are built from has changed")
        for change in each.redefined:
            hashes = f"{change.was or 'none'} -> {change.is_now or 'none'}"
            show.text(f"  {change.slots} by another definition: {change.what} ({hashes})")
        if each.is_due:
            show.text(f"  {_in_words(each.cost)}")
        if each.note:
            show.text(f"  {each.note}")
    if not any(each.is_due for each in found):
        show.text("nothing is due")
    elif not all(each.table.endswith(("/labels", "/training_set")) for each in found if each.is_due):
        show.note("note: what reads these tables is due once they are built; it isn't known before")
    return 0


def _in_words(cost: "Cost") -> str:
    seconds = (
        "seconds not on record" if cost.seconds is None else f"{cost.seconds:.1f} s as the last run took"
    )
    size = "bytes not on record" if cost.bytes is None else f"{cost.bytes:,} bytes as the files of now"
    return f"estimated: {seconds}, {size}"


def validate() -> int:
    """Read every declaration; exit 1, with file and line, where one is wrong."""
    from ml_assets.operations.opened import checked_project

    declared = checked_project()
    counts = ((declared.sources, "sources"), (declared.groups, "feature groups"), (declared.models, "models"))
    show.text(
        ", ".join(f"{len(found)} {what}" for found, what in counts) + " are declared, and all can be built"
    )
    return 0


def check(
    select: Annotated[
        str | None,
        typer.Option(
            metavar="SELECTION", help="Dagster's asset selection: 'group:lapse', 'transactions/events'."
        ),
    ] = None,
    partition: Annotated[
        str | None, typer.Option(metavar="KEY", help="One partition, for example 2017-12-03.")
    ] = None,
    json: Json = False,
) -> int:
    """Run asset checks without materializing; exit 1 if one failed or never ran."""
    from ml_assets.operations import opened

    with shown():
        with progress.phase("load the project"):
            defs = opened.definitions()
            from ml_assets.operations.check_run import run_checks
        with progress.phase("run the checks"), opened.instance() as running:
            outcomes = run_checks(defs, running, select, partition)
    if json:
        show.as_json(outcomes)
    else:
        for outcome in outcomes:
            if outcome.status != "passed":
                show.text(
                    f"{outcome.status:<9}  {outcome.asset}  {outcome.check}\n           {outcome.message}"
                )
        counts = {
            s: sum(o.status == s for o in outcomes) for s in ("passed", "warned", "failed", "never ran")
        }
        show.text(", ".join(f"{number} {status}" for status, number in counts.items()))
    return 1 if any(outcome.is_error for outcome in outcomes) else 0


def serve(
    background: Annotated[
        bool, typer.Option("--background", help="Return once both answer; `ml-assets down` ends them.")
    ] = False,
) -> int:
    """Serve Dagster's and MLflow's UI, until Ctrl-C."""
    from ml_assets.instance import servers

    _prepare()
    with shown():
        return servers.serve(home.root(), background=background)


def down() -> int:
    """End what `up` or `serve --background` left running."""
    from ml_assets.instance import servers

    with shown():
        return servers.down(home.root())


def init() -> int:
    """Prepare the Dagster instance and MLflow's database; the other commands do so themselves."""
    from ml_assets.operations.opened import checked_project

    checked_project()
    _prepare()
    return 0


def _prepare() -> None:
    with shown(), progress.phase("prepare the instance"):
        from ml_assets.operations.opened import prepare

        for said in prepare():
            progress.say(f"note: {said}")
