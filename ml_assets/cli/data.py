"""Commands about sources: land the sample, look at what is held back, judge it again, let it through."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ml_assets.cli import show
from ml_assets.cli.progress import shown
from ml_assets.cli.shared import Day, From, Json, SourceName, To, Why, day_option, group, source_of, span
from ml_assets.instance import home, progress
from ml_assets.instance.refusal import Refusal

if TYPE_CHECKING:
    from ml_assets.operations.quarantine import HeldBack

commands = group("Land the sample; look at refused rows and withheld days, and let them through.")


@commands.command()
def land(
    sample: Annotated[
        Literal["completejourney"], typer.Argument(metavar="[SAMPLE]", help="Which: completejourney.")
    ] = "completejourney",
    start: From = None,
    days: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many days (default: all).")
    ] = None,
) -> int:
    """Play the producer: write the sample's landing files, one a day."""
    with shown(), progress.phase(f"land {sample}"):
        from ml_assets.landing.completejourney import land as write

        try:
            said = write(home.landing("transactions"), start=start.date() if start else None, days=days)
        except ValueError as error:
            raise Refusal(str(error)) from error
    show.text(str(said))
    return 0


@commands.command()
def maintain() -> int:
    """Compact and vacuum the lake and forget old logs, as every Sunday with the daemon; exit 1 if that fails."""
    from ml_assets.operations import opened

    with shown():
        with progress.phase("load the project"):
            defs = opened.definitions()
            from ml_assets.operations.materialize import MAINTENANCE, told
        with opened.instance() as running:
            done = told(defs, running, MAINTENANCE)
    return 0 if done.success else 1


@commands.command()
def quarantine(
    source: SourceName,
    start: From = None,
    end: To = None,
    rule: Annotated[
        str | None, typer.Option(metavar="RULE", help="Only rows that this rule refuses.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="How many rows to print.")] = 10,
    json: Json = False,
) -> int:
    """Print withheld days, how many rows each rule refuses, and rows."""
    from ml_assets.lake import connect
    from ml_assets.operations import opened
    from ml_assets.operations.quarantine import held_back

    found = source_of(opened.project(), source)
    with connect() as con:
        held = held_back(con, found, opened.lake(), span(start, end), rule=rule, limit=limit)
    if json:
        show.as_json(held)
    else:
        _print(held)
    return 0


def _print(held: "HeldBack") -> None:
    show.text(f"{len(held.withheld)} days of {held.source} are withheld")
    for day in held.withheld:
        show.text(f"  {day.day}  {day.why}")
    show.text(f"{held.rows} rows are in quarantine")
    for rule in held.rules:
        show.text(f"  {rule.rows:>9,}  {rule.rule}  on {rule.days} days, {rule.first} to {rule.last}")
    for row in held.shown:
        show.text(f"{row.file} row {row.row}: {'; '.join(row.reasons)}\n    {row.original}")


@commands.command()
def replay(source: SourceName, start: From = None, end: To = None, json: Json = False) -> int:
    """Build the days with refused rows or files, or withheld, again under the contract as it is now."""
    from ml_assets.operations import opened

    found = source_of(opened.project(), source)
    with shown():
        with progress.phase("load the project"):
            defs = opened.definitions()
            from ml_assets.operations.quarantine import replay as again
        with opened.instance() as running:
            done = again(defs, running, found, opened.lake(), span(start, end))
    if json:
        show.as_json(done)
    else:
        show.text(
            f"{done.built} of {done.asked} days built again, {done.withheld} are withheld; "
            f"{done.rows_before} rows were in quarantine, {done.rows_now} are now"
        )
    return 0 if done.success else 1


@commands.command()
def waive(
    source: SourceName,
    day: Day,
    why: Why,
    until: Annotated[datetime, day_option("--until", "The day it ends, in UTC")],
    end: Annotated[datetime | None, day_option("--to", "The last day, if there are several")] = None,
    rule: Annotated[
        str | None, typer.Option(metavar="RULE", help="The broken rule that is waived (default: all).")
    ] = None,
) -> int:
    """Let a withheld day through, on the record; the landing sensor then publishes it."""
    from ml_assets.lake import connect
    from ml_assets.operations import opened
    from ml_assets.operations.quarantine import waive as record

    found = source_of(opened.project(), source)
    days = day.date(), (end or day).date()
    with connect() as con:
        rules = record(con, found, opened.lake(), days, rule=rule, why=why, until=until.date())
    show.text(
        f"{', '.join(rules)} waived for {source} from {days[0]} to {days[1]} until {until.date()}. The landing sensor "
        f"publishes the days at its next tick; without it: ml-assets data replay {source}"
    )
    return 0
