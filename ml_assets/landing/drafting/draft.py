"""The YAML text of an inferred contract, with comments for the one who reviews it."""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import yaml

from ml_assets.contracts.compile.closed import WEEKDAYS
from ml_assets.contracts.compile.quality import snake
from ml_assets.landing.drafting.findings import OCCURRED, Findings, Property, known
from ml_assets.landing.drafting.readings import IDENTIFYING

WIDTH = 110
LENGTHS = (10, 20, 50, 100, 200, 500)
# Weekdays without a file are closed days if there are files of so many weeks.
WEEKS_TO_CLOSE = 3
MOST_GAPS = 8
# More texts than an enum has, but few enough to watch.
MOST_WATCHED = 100


def draft(found: Findings, name: str) -> str:
    """The contract as text."""
    table = snake(name) or "events"
    lines = [
        *_head(found),
        "apiVersion: v3.2.0",
        "kind: DataContract",
        f"id: {scalar(table)}",
        f"name: {scalar(name)}",
        "version: 0.1.0",
        "status: draft",
        "schema:",
        f"  - name: {scalar(table)}",
        "    properties:",
    ]
    for prop in found.properties:
        lines += [f"      {line}".rstrip() for line in _property(found, prop)]
    lines += ["    quality:", *(f"      {line}" for line in _quality(found))]
    lines += [*_closed(found), *_service()]
    return "\n".join(lines) + "\n"


def _head(found: Findings) -> Iterator[str]:
    sample = found.sample
    files = "1 file" if len(sample.files) == 1 else f"{len(sample.files):,} files"
    names = sorted(known(file.name) for file in sample.files)
    span = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    yield from _comment(f"A first contract, inferred from {sample.rows:,} rows in {files}: {span}.")
    yield from _comment(
        "Required columns, limits and lengths follow from what was seen. Read every line that says 'guessed', "
        "correct it, and add what files can't say: what a column means (description), what is personal "
        "(classification: personal), what is promised of the delivery (slaProperties, at the end)."
    )
    pattern = sample.pattern
    if pattern is None:
        return
    parts = ["path: ...", f'pattern: "{known(pattern)}"']
    parts += [f"{option}: {_in_quotes(value)}" for option, value in sample.options.items()]
    if found.late_days:
        parts.append(f"late_days: {found.late_days}")
    yield from _comment(f"In defs.yaml: landing: {{{', '.join(parts)}}}")
    if found.early:
        yield from _comment(
            f"{found.early:,} rows happen, in UTC, after the day that their file is named after, and are refused; "
            f"if {OCCURRED} is a local time, its defaultTimezone helps."
        )


def _comment(words: str, indent: int = 0) -> Iterator[str]:
    """Comment lines of at most WIDTH characters, the indentation included."""
    line = "#"
    for word in words.split(" "):
        if len(line) + 1 + len(word) > WIDTH - indent and line != "#":
            yield line
            line = "#  "
        line += f" {word}"
    yield line


def _property(found: Findings, prop: Property) -> Iterator[str]:
    reading = prop.reading
    for line in (_seen(found, prop), *(f"guessed: {note}" for note in _guesses(found, prop))):
        yield from _comment(line, indent=6)
    yield f"- name: {scalar(prop.name)}"
    entries: list[tuple[str, str]] = []
    if reading.logic is None and prop.landing != prop.name:
        entries.append(("physicalName", scalar(prop.landing)))
    entries.append(("logicalType", reading.logical))
    if reading.physical is not None:
        entries.append(("physicalType", reading.physical))
    if prop.name in found.key:
        entries.append(("primaryKey", "true"))
        entries.append(("primaryKeyPosition", str(found.key.index(prop.name) + 1)))
    if prop.name in (OCCURRED, "available_at") or (
        prop.filled == found.sample.rows and prop.name not in found.key
    ):
        entries.append(("required", "true"))
    if reading.logic is not None:
        entries.append(("transformLogic", scalar(reading.logic)))
        entries.append(("transformDescription", scalar(reading.logic_said or "")))
    for key, value in entries:
        yield f"  {key}: {value}"
    yield from _values(found, prop)


def _seen(found: Findings, prop: Property) -> str:
    """What the values are like, in words."""
    rows = found.sample.rows
    if not prop.filled:
        return f"seen: no value in {rows:,} rows"
    if prop.personal:
        said = f"{prop.distinct:,} different values, not shown"
    elif prop.distinct == 1:
        said = f"always {known(prop.low)}"
    elif prop.texts:
        said = f"{prop.distinct:,} different values"
    elif prop.reading.logical == "string":
        examples = ", ".join(repr(known(text)) for text in prop.examples)
        such = f" such as {examples}" if examples else ""
        said = f"{prop.distinct:,} different values{such}, up to {prop.longest} characters"
    else:
        said = f"{prop.distinct:,} different values, {known(prop.low)} to {known(prop.high)}"
    empty = rows - prop.filled
    share = f"{100 * empty / rows:.1f} percent" if empty * 1000 >= rows else f"{empty:,}"
    return f"seen: {said}{f'; {share} of the rows are empty' if empty else ''}"


def _guesses(found: Findings, prop: Property) -> Iterator[str]:
    yield from prop.reading.notes
    if prop.name in found.key:
        beside = [name for name in found.key if name != prop.name]
        with_others = f", with {' and '.join(beside)}" if beside else ""
        yield f"identifies a row of a day{with_others}"
    if prop.texts:
        yield f"these are all the values there can be; each was seen {prop.filled // prop.distinct:,} times on average"
    if prop.personal:
        yield "about a person? then add `classification: personal`"
    if not prop.filled:
        yield "a text, for want of values"


def _values(found: Findings, prop: Property) -> Iterator[str]:
    """What the contract promises of the values: options, enum, and trends to watch."""
    options: dict[str, Any] = dict(prop.reading.options)
    if prop.reading.logical in ("integer", "number") and prop.filled and not prop.negative:
        options["minimum"] = 0
    if prop.reading.logical == "string" and prop.filled and not prop.texts and not prop.nested:
        options["maxLength"] = rounded_up(prop.longest)
    if options:
        inner = ", ".join(f"{key}: {scalar(value, flow=True)}" for key, value in options.items())
        yield f"  logicalTypeOptions: {{{inner}}}"
    if prop.texts:
        listed = [f"{{value: {scalar(text, flow=True)}}}" for text in prop.texts]
        short = f"  enum: [{', '.join(listed)}]"
        if len(short) <= WIDTH - 6:
            yield short
        else:
            yield "  enum:"
            yield from (f"    - {entry}" for entry in listed)
    trends = list(_trends(found, prop))
    if trends:
        yield "  quality:"
        yield from (f"    - {_trend(kind)}" for kind in trends)


def _trends(found: Findings, prop: Property) -> Iterator[str]:
    """Which trends of a property are worth watching: its empty values, its categories."""
    if 0 < prop.filled < found.sample.rows:
        yield "nulls"
    text = prop.reading.logical == "string" and not IDENTIFYING.search(prop.name)
    if text and 1 < prop.distinct <= MOST_WATCHED and prop.filled >= 20 * prop.distinct and not prop.texts:
        yield "categories"


def _trend(kind: str) -> str:
    return f"{{type: custom, engine: ml_assets, implementation: {{trend: {kind}}}}}"


def rounded_up(length: int) -> int:
    """A round number with room for longer texts than those seen."""
    wanted = length * 6 // 5
    return next((size for size in LENGTHS if size >= wanted), -(-wanted // 1000) * 1000)


def _quality(found: Findings) -> Iterator[str]:
    least = (
        f"seen: {found.quietest:,} to {found.busiest:,} rows a day"
        if found.quietest < found.busiest
        else (f"seen: {found.busiest:,} rows a day")
    )
    empty_file = 0 in found.sample.counts
    yield from _comment(least + ("; some files have none" if empty_file else ""), indent=6)
    yield "- name: row_count"
    yield "  metric: rowCount"
    yield "  mustBeGreaterOrEqualTo: 0" if empty_file else "  mustBeGreaterThan: 0"
    yield from _comment("guessed: with more rows refused than this, a day is withheld", indent=6)
    yield from (
        "- name: refused_share",
        "  metric: invalidValues",
        "  unit: percent",
        "  mustBeLessOrEqualTo: 5",
    )
    if not found.key:
        yield from _no_key(found)
    yield f"- {_trend('volume')}"
    if found.once:
        yield from _comment("guessed: an event of one day doesn't come again on another", indent=6)
        yield f"- {_trend('repeats')}"


def _no_key(found: Findings) -> Iterator[str]:
    missing = "guessed: no key; no 3 columns or fewer are unique on every day"
    if not found.repeats:
        yield from _comment(f"{missing}. Set primaryKey: true on what identifies a row", indent=6)
        return
    yield from _comment(
        f"{missing}, and {found.repeats:,} rows repeat another one of their day in every column. If that is an "
        "error, remove `severity: warning`: then the first one stays, and the others are refused.",
        indent=6,
    )
    yield from ("- name: exact_repeat", "  metric: duplicateValues", "  arguments:", "    properties:")
    yield from (f"      - {scalar(prop.name)}" for prop in found.properties)
    yield from ("  mustBe: 0", "  severity: warning")


def _closed(found: Findings) -> Iterator[str]:
    """The weekdays without a file, and the other days without one."""
    days = found.sample.days
    if days is None or (max(days) - min(days)).days < 7 * WEEKS_TO_CLOSE:
        return
    closed = [name for at, name in enumerate(WEEKDAYS) if all(day.weekday() != at for day in days)]
    gaps = list(_gaps(set(days), {WEEKDAYS.index(name) for name in closed}))
    if gaps:
        shown = ", ".join(gaps[:MOST_GAPS]) + (
            f" and {len(gaps) - MOST_GAPS} more" if len(gaps) > MOST_GAPS else ""
        )
        yield from _comment(
            f"guessed: days without a file were closed, too, or their files are lost: {shown}"
        )
    if closed:
        names = " or a ".join(name.capitalize() for name in closed)
        yield from _comment(f"guessed: none of the {len(days):,} files is of a {names}")
        yield from ("customProperties:", "  - property: closedDays", f"    value: [{', '.join(closed)}]")


def _gaps(days: set[date], closed: set[int]) -> Iterator[str]:
    """Spans of days without a file, closed weekdays at their ends left out."""
    ordered = sorted(days)
    for before, after in pairwise(ordered):
        between = [before + timedelta(days=n) for n in range(1, (after - before).days)]
        lost = [day for day in between if day.weekday() not in closed]
        if lost:
            yield f"{lost[0]}" if len(lost) == 1 else f"{lost[0]} to {lost[-1]}"


def _service() -> Iterator[str]:
    yield from (
        "# What the producer promises; take off the # where it holds.",
        "# slaProperties:",
        "#   - {property: latency, value: 6, unit: h}    # from event to landing; features don't see it before",
        "#   - {property: freshness, value: 2, unit: d}  # the newest landed day is at most this old",
        "#   - {property: frequency, value: 1, unit: d}  # a file comes at least this often",
        "#   - {property: retention, value: 3, unit: y}  # older days are removed",
    )


def scalar(value: Any, *, flow: bool = False) -> str:
    """A value as YAML, in quotes only where it needs them; ``flow`` is inside of braces or brackets."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    plain = f"[{value}]" if flow else f"- {value}"
    if str(value).isprintable() and "\\" not in str(value):
        try:
            if yaml.safe_load(plain) == [value]:
                return str(value)
        except yaml.YAMLError:
            pass
    return _in_quotes(str(value))


def _in_quotes(value: str) -> str:
    quoted: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf"))
    return quoted.rstrip("\n")
