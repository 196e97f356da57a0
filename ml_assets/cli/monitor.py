"""Commands about monitoring: what a model's thresholds promise, what was done about it, incidents, other policies."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ml_assets.cli import show
from ml_assets.cli.progress import shown
from ml_assets.cli.shared import Json, ModelName, day_option, group, known, opened
from ml_assets.instance import home, progress

if TYPE_CHECKING:
    from ml_assets.monitoring.rehearse.calibrate import Calibration, Caught

commands = group("What watches a model in use: its thresholds, its actions, rehearsals and other policies.")


@commands.command()
def log(
    model: ModelName,
    last: Annotated[int, typer.Option(min=1, metavar="N", help="How many lines.")] = 20,
    json: Json = False,
) -> int:
    """Print what was done about a model and why, the newest last; also when nothing was done."""
    from ml_assets.monitoring.act.actions import ActionLog

    with opened(model) as found:
        actions = ActionLog(found.model.tables(found.lake).actions, found.model.name)
        rows = list(reversed(actions.newest(found.book.con, last)))
    if json:
        show.as_json(rows)
        return 0
    for row in rows:
        show.text(f"{row['as_of']}  {row['action']:8} {row['decided_by']}: {row['why']}")
    if not rows:
        show.text(f"Nothing has been decided about {model} yet: its sensors write here when they tick.")
    return 0


@commands.command()
def calibrate(
    model: ModelName,
    days: Annotated[int, typer.Option(min=1, metavar="N", help="Days to simulate.")] = 365,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="How many times.")] = 4,
    rows: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Rows a day (default: as in training).")
    ] = None,
    json: Json = False,
) -> int:
    """Print a champion's thresholds, how often they would fire on days like its training, and the shifts they catch."""
    with opened(model) as found, shown(), progress.phase(f"simulate {days} days of {model}, {seeds} times"):
        from ml_assets.operations.calibrate import calibrate_champion

        done = calibrate_champion(found.book.con, found.model, found.lake, days=days, seeds=seeds, rows=rows)
    if json:
        show.as_json(done)
        return 0
    show.text(f"{model} version {done.version}, trained at {done.cutoff}")
    _print_calibration(done.found)
    return 0


def _print_calibration(found: "Calibration") -> None:
    show.text(f"days drawn from {found.blocks} days of its training rows, {found.rows:,.0f} rows a day\n")
    head = ("feature", "weight", "PSI above", "shift above", "nulls above", "caught within 5 days from")
    rows = [
        (
            profile.feature,
            f"{profile.weight:.1%}",
            f"{profile.psi_threshold:.2f}",
            None if profile.shift_threshold is None else f"{profile.shift_threshold:.2f}",
            f"{profile.null_threshold:.1%}",
            _words(caught),
        )
        for profile, caught in zip(found.features, found.alone, strict=True)
    ]
    show.table(head, rows)
    show.text(f"\ntogether, {', '.join(found.together.features) or 'no numbers'}: {_words(found.together)}")
    by_seed = ", ".join(map(str, found.fired))
    show.text(f"false alarms in {found.days} days, by seed: {by_seed}; {found.alarms_a_year:.2f} a year")
    show.text(f"days called broken, by seed: {', '.join(map(str, found.broken))}")


def _words(caught: "Caught") -> str:
    return caught.why_not if caught.shift is None else f"{caught.shift:.2f} training deviations"


@commands.command()
def drills(json: Json = False) -> int:
    """List the incidents that can be rehearsed."""
    from ml_assets.monitoring.rehearse.drills.incidents import INCIDENTS

    if json:
        show.as_json(
            [
                {"incident": i.name, "means": i.means, "needs": i.needs, "expected": [*map(str, i.expected)]}
                for i in INCIDENTS.values()
            ]
        )
        return 0
    for incident in INCIDENTS.values():
        needs = f" Needs: {', '.join(incident.needs)}." if incident.needs else ""
        show.text(f"{incident.name:<18}{incident.means}{needs}")
        show.text(f"{'':<18}expected: {'; or '.join(map(str, incident.expected))}")
    return 0


def _incidents(incomplete: str) -> list[str]:
    from ml_assets.monitoring.rehearse.drills.incidents import INCIDENTS

    return [name for name in INCIDENTS if name.startswith(incomplete)]


@commands.command()
def drill(
    incident: Annotated[
        str,
        typer.Argument(
            metavar="INCIDENT", autocompletion=_incidents, help="Its name; `monitor drills` has all."
        ),
    ],
    on: Annotated[
        datetime | None,
        day_option("--on", "Its first day (default: two label horizons before the last landed day)"),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Whose files change (default: of the model's label)."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The model that is watched (default: the first).")
    ] = None,
    into: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the scratch project is (default: data/drills/INCIDENT)."),
    ] = None,
    json: Json = False,
) -> int:
    """Rehearse an incident on a scratch copy of the project: land its days, let the sensors react, compare; exit 1
    if they don't do what they should."""
    from ml_assets.monitoring.rehearse.drills.incidents import INCIDENTS

    chosen = INCIDENTS[known("incident", incident, INCIDENTS)]
    with shown():
        with progress.phase("load the project"):
            from ml_assets.operations.drill import rehearse
            from ml_assets.operations.fast_forward import quieten
            from ml_assets.operations.opened import project

            quieten()
            declared = project()
        verdict = rehearse(
            declared,
            chosen,
            home.data() / "drills",
            into=into,
            source=source,
            model=model,
            start=on.date() if on else None,
        )
    if json:
        show.as_json(
            {
                "incident": incident,
                "expected": verdict.expected,
                "observed": verdict.observed,
                "as_expected": verdict.as_expected,
                "why": verdict.why,
            }
        )
    else:
        show.text(f"expected  {verdict.expected}")
        show.text(f"observed  {verdict.observed}")
        show.text("as expected" if verdict.as_expected else f"not as expected: {verdict.why}")
    return 0 if verdict.as_expected else 1


@commands.command()
def backtest(model: ModelName, json: Json = False) -> int:
    """Replay a model's history: what retraining never, weekly, by its policy or with hindsight costs and loses.

    The page and its plot are written to data/backtests.
    """
    with opened(model) as found, shown():
        with progress.phase("load the tables"):
            from ml_assets.operations.backtest import backtest as replay
            from ml_assets.operations.backtest import written
        done = replay(found.book.con, found.model, found.lake, found.book.registry)
        page = written(done, found.model, home.data() / "backtests")
    if json:
        show.as_json(
            [
                {
                    "strategy": one.replayed.strategy,
                    "trainings": len(one.replayed.trainings),
                    "promotions": one.promotions,
                    "idle": one.idle,
                    "false_alarms": one.false_alarms,
                    "degraded_days": one.degraded,
                    "loss": one.loss,
                    "metric": one.metric,
                }
                for one in done.results
            ]
        )
    else:
        show.text(page.read_text().rpartition("\n![")[0])
        show.text(f"{page} and {page.with_suffix('.png').name} are written")
    return 0
