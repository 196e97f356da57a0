"""Commands about sources: what is in quarantine, waivers, and contracts inferred and compared."""

import argparse
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ml_assets.instance.refusal import Refusal

if TYPE_CHECKING:
    from ml_assets.lake import Between, Lake, as_ranges, days
    from ml_assets.project.project import Project
    from ml_assets.project.source import Source


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands ``quarantine``, ``waive`` and ``contract``."""
    text = "Look at refused rows, or judge them again after a contract was corrected."
    quarantine = commands.add_parser("quarantine", help=text, description=text)
    actions = quarantine.add_subparsers(required=True, metavar="ACTION")
    show = _action(
        actions, "show", show_command, "Print withheld days, how many rows each rule refuses, and rows."
    )
    show.add_argument("--rule", help="only rows that this rule refuses")
    show.add_argument("--limit", type=int, default=10, help="how many rows to print (default 10)")
    replay = _action(actions, "replay", replay_command, "Build the days with refused rows or files again.")
    for sub in (show, replay):
        sub.add_argument("source")
        sub.add_argument("--from", dest="start", type=date.fromisoformat, help="first day, YYYY-MM-DD")
        sub.add_argument("--to", dest="end", type=date.fromisoformat, help="last day, YYYY-MM-DD")
    text = "Let a withheld day through, on the record; the landing sensor then publishes it."
    waive = commands.add_parser("waive", help=text, description=text)
    waive.set_defaults(run=waive_command)
    waive.add_argument("source")
    waive.add_argument("day", type=date.fromisoformat, help="the day, YYYY-MM-DD")
    waive.add_argument("--to", dest="end", type=date.fromisoformat, help="the last day, if there are several")
    waive.add_argument("--rule", help="the broken rule that is waived (default: all)")
    waive.add_argument("--why", required=True, help="the reason, for the record")
    waive.add_argument(
        "--until", required=True, type=date.fromisoformat, help="the day it ends, YYYY-MM-DD (UTC)"
    )
    text = "Write a first contract from data, or compare two versions of one."
    contract = commands.add_parser("contract", help=text, description=text)
    actions = contract.add_subparsers(required=True, metavar="ACTION")
    infer = _action(actions, "infer", infer_command, "Print a first contract for landing files.")
    infer.add_argument("files", nargs="+", type=Path)
    infer.add_argument("--name", help="the source's name (default: the folder of the files)")
    infer.add_argument(
        "--delimiter", help="the character between two fields of CSV files (default: found out)"
    )
    infer.add_argument(
        "--out", type=Path, help="write to this file, which must not exist, instead of printing"
    )
    diff = _action(actions, "diff", diff_command, "Name breaking and safe changes; exit 1 on a breaking one.")
    diff.add_argument("old", type=Path)
    diff.add_argument("new", type=Path)


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, run: object, text: str
) -> argparse.ArgumentParser:
    sub = actions.add_parser(name, help=text, description=text)
    sub.set_defaults(run=run)
    return sub


def _source(name: str) -> "tuple[Project, Source, Lake]":
    from ml_assets.cli.app import project
    from ml_assets.definitions import resources

    found = project()
    if name not in found.sources:
        raise Refusal(f"there is no source {name}; there are {', '.join(found.sources)}")
    return found, found.sources[name][0], resources()["lake"].lake  # type: ignore[attr-defined]


def _span(options: argparse.Namespace) -> "Between | None":
    if options.start is None and options.end is None:
        return None
    return options.start or date.min, options.end or date.max


def show_command(options: argparse.Namespace) -> int:
    """Print what is withheld and what is in quarantine."""
    from ml_assets.lake import connect
    from ml_assets.landing.withholding import withheld

    _, source, lake = _source(options.source)
    tables, span = source.tables(lake), _span(options)
    with connect() as con:
        held = withheld(con, tables, span)
        print(f"{len(held)} days of {source.name} are withheld")
        for day, why in held.items():
            print(f"  {day}  {why}")
        if not tables.quarantine.exists:
            print("0 rows are in quarantine")
            return 0
        rows = tables.quarantine.read(con, between=span).select(
            "*, list_transform(reasons, lambda reason: split_part(reason, ':', 1)) AS rules"
        )
        if options.rule:
            rows = con.sql(
                "SELECT * FROM rows WHERE list_contains(rules, $rule)", params={"rule": options.rule}
            )
        counts = con.sql(
            "SELECT rule, count(*), count(DISTINCT event_date), min(event_date), max(event_date) "
            "FROM (SELECT unnest(rules) AS rule, event_date FROM rows) GROUP BY rule ORDER BY 2 DESC, 1"
        ).fetchall()
        ((total,),) = rows.aggregate("count(*)").fetchall()
        print(f"{total} rows are in quarantine")
        for rule, number, days, first, last in counts:
            print(f"  {number:>9,}  {rule}  on {days} days, {first} to {last}")
        for file, line, reasons, original in (
            rows.order("event_date, file, row_number")
            .limit(options.limit)
            .select("file, row_number, reasons, original")
        ).fetchall():
            print(f"{file} row {line}: {'; '.join(reasons)}\n    {original}")
    return 0


def replay_command(options: argparse.Namespace) -> int:
    """Build the days with refused rows or files, or withheld, again under the contract as it is now."""
    from ml_assets.cli.app import instance
    from ml_assets.definitions import defs
    from ml_assets.operations.materialize import Phase, run_phase

    _, source, lake = _source(options.source)
    span = _span(options)
    before = _refused(source, lake, span)
    built: set[date] = set()
    success = True
    with instance() as running:
        for reading in (True, False):
            keys = tuple(source.key(name) for name in ("raw", "events", "quarantine")[0 if reading else 1 :])
            wanted = before.files if reading else {*before.rows, *before.withheld} - before.files
            for between in as_ranges(wanted):
                version = source.tables(lake).events.version
                done = run_phase(defs, running, Phase(f"{source.name}: replay", keys, between))
                success = success and done.success
                for message in done.messages:
                    print(message)
                if source.tables(lake).events.version != version:
                    built.update(days(*between))
    after = _refused(source, lake, span)
    asked = {*before.rows, *before.withheld, *before.files}
    print(
        f"{len(built)} of {len(asked)} days built again, {len(asked & after.withheld)} are withheld; "
        f"{sum(before.rows.values())} rows were in quarantine, {sum(after.rows.values())} are now"
    )
    return 0 if success else 1


class _Refused(NamedTuple):
    """What a source holds back: rows in quarantine by day, days withheld, days that refused files can hold rows of."""

    rows: Mapping[date, int]
    withheld: set[date]
    files: set[date]


def _refused(source: "Source", lake: "Lake", span: "Between | None") -> _Refused:
    from ml_assets.components.source.sensors import touched_by
    from ml_assets.lake import connect
    from ml_assets.landing.raw import seen_files
    from ml_assets.landing.withholding import withheld

    tables, (first, last) = source.tables(lake), span or (date.min, date.max)
    with connect() as con:
        rows: dict[date, int] = {}
        if tables.quarantine.exists:
            found = tables.quarantine.read(con, columns=["event_date"], between=span)
            rows = dict(found.aggregate("event_date, count(*)", "event_date").fetchall())
        held = set(withheld(con, tables, span))
        seen = seen_files(con, tables.files)
    files = {day for day, file in seen.items() if first <= day <= last and file.status == "refused"}
    touched = {day for landed in files for day in touched_by(landed, source.late_days, source.partitions)}
    return _Refused(rows, held, touched)


def waive_command(options: argparse.Namespace) -> int:
    """Record a waiver for days that are withheld."""
    from getpass import getuser

    from ml_assets.lake import connect
    from ml_assets.landing.withholding import Waiver, breaches, waive

    _, source, lake = _source(options.source)
    tables, last, now = source.tables(lake), options.end or options.day, datetime.now(tz=UTC)
    until = datetime.combine(options.until, time.min, UTC)
    if until <= now:
        raise Refusal(f"--until {options.until} is over; give a day to come")
    with connect() as con:
        broken = breaches(con, tables, (options.day, last))
        rules = sorted({breach.rule for breach in broken if options.rule in (None, breach.rule)})
        if not rules:
            known = ", ".join(f"{b.rule} on {b.day}" for b in breaches(con, tables)[:10]) or "none"
            wanted = f"the rule {options.rule}" if options.rule else "a rule"
            raise Refusal(
                f"no day from {options.day} to {last} breaks {wanted} of {source.name}, so there is nothing to waive. "
                f"Broken now: {known}"
            )
        waive(con, tables, Waiver(options.day, last, options.rule, getuser(), options.why, until, now))
    print(
        f"{', '.join(rules)} waived for {source.name} from {options.day} to {last} until {options.until}. The landing "
        f"sensor publishes the days at its next tick; without it: ml-assets quarantine replay {source.name}"
    )
    return 0


def infer_command(options: argparse.Namespace) -> int:
    """Print or write a first contract."""
    from ml_assets.contracts import ContractError
    from ml_assets.lake import connect
    from ml_assets.landing.drafting.infer import infer

    name = options.name or options.files[0].resolve().parent.name
    try:
        with connect() as con:
            text = infer(con, options.files, name=name, delimiter=options.delimiter)
    except ContractError as error:
        raise Refusal(str(error)) from error
    if options.out is None:
        print(text, end="")
        return 0
    if options.out.exists():
        raise Refusal(f"{options.out} exists; remove it, or compare with `ml-assets contract diff`")
    options.out.write_text(text)
    print(f"{options.out} is written; read what it guessed before you use it", file=sys.stderr)
    return 0


def diff_command(options: argparse.Namespace) -> int:
    """Print the changes from one contract to another."""
    from ml_assets.contracts import ContractError
    from ml_assets.contracts.compare.diff import diff

    try:
        changes = diff(options.old, options.new)
    except ContractError as error:
        raise Refusal(str(error)) from error
    for change in changes:
        print(f"{change.kind:<8}  {change.where}  {change.text}")
    breaking = sum(change.kind == "breaking" for change in changes)
    print(f"{breaking} breaking, {len(changes) - breaking} safe changes")
    return 1 if breaking else 0
