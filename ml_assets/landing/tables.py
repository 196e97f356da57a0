"""The tables of a source: what has landed, the events, and what keeps a day from them."""

from dataclasses import dataclass

from ml_assets.contracts import Column, Contract
from ml_assets.lake import Lake, Table
from ml_assets.lake.schema import DAY, MOMENT, ROWS, Schema, StoredColumn

_LANDING_DATE = StoredColumn(
    "landing_date", "DATE", "The day in the name of the landing file that brought the row.", DAY
)
_FILE = StoredColumn("file", "VARCHAR", "Name of the landing file.")
_HASH = StoredColumn(
    "content_hash", "VARCHAR", "SHA-256 of the landing file's bytes, which tells its versions apart."
)
_ROW_NUMBER = StoredColumn(
    "row_number", "BIGINT", "Where the row stands in its landing file, from 1; of JSON lines, the line."
)
_EVENT_DATE = StoredColumn(
    "event_date",
    "DATE",
    "Day of occurred_at; where that can't be read or lies outside the days the file may tell of, the landing_date.",
    DAY,
)

RAW = Schema(
    "raw",
    "The immutable copy of the accepted landing files, a row each of theirs. A corrected file is a further version "
    "beside the one before. Of CSV and JSON lines the columns of the file are kept as text (VARCHAR), of Parquet in "
    "the types named here.",
    asset="raw",
    partition_by=("landing_date", "content_hash"),
    columns=(_LANDING_DATE, _FILE, _HASH, _ROW_NUMBER),
)
FILES = Schema(
    "files",
    "The log of every version of a landing file that was seen, a line for each time it was accepted, refused or "
    "found deleted. Lines are only added.",
    asset="raw",
    partition_by=("month",),
    columns=(
        StoredColumn("landing_date", "DATE", "The day in the name of the file.", DAY),
        StoredColumn(
            "content_hash",
            "VARCHAR",
            "SHA-256 of its bytes, which tells its versions apart; empty if it couldn't be read.",
        ),
        _FILE,
        StoredColumn("size", "BIGINT", "Size of the file; 0 where it is deleted.", "bytes"),
        StoredColumn(
            "rows",
            "BIGINT",
            "How many rows were copied; empty where it was refused, deleted, or a version of before came back.",
            ROWS,
        ),
        StoredColumn("status", "VARCHAR", "What became of it: accepted, refused or deleted."),
        StoredColumn("reason", "VARCHAR", "Why it was refused, in words; empty otherwise."),
        StoredColumn("seen_at", "TIMESTAMPTZ", "When it was looked at.", MOMENT),
        StoredColumn("contract", "VARCHAR", "SHA-256 of the contract that it was read under."),
        StoredColumn("month", "DATE", "First day of the month of landing_date.", DAY),
        StoredColumn(
            "sequence",
            "BIGINT",
            "The order of acceptance: each look counts one up; empty, and first, where it wasn't kept yet.",
        ),
    ),
)
REFUSED_FILES = Schema(
    "refused_files",
    "The bytes of landing files that were refused, so that nothing is lost when a producer overwrites one; "
    "of a file of more than 256 MiB they are not kept.",
    asset="raw",
    partition_by=("month",),
    columns=(
        StoredColumn("content_hash", "VARCHAR", "SHA-256 of the bytes."),
        _FILE,
        StoredColumn("content", "BLOB", "The bytes as they came."),
        StoredColumn("month", "DATE", "First day of the month in the file's name.", DAY),
    ),
)
EVENTS = Schema(
    "events",
    "The rows of the landing files in force that keep the contract, typed and without repeats, a row an event. A day "
    "that breaks a rule of the contract stays as it was published before.",
    asset="events",
    partition_by=("event_date",),
    columns=(
        StoredColumn("available_at", "TIMESTAMPTZ", "When the event could first have been known.", MOMENT),
        _LANDING_DATE,
        _ROW_NUMBER,
        StoredColumn("event_date", "DATE", "Day of occurred_at.", DAY),
    ),
)
QUARANTINE = Schema(
    "quarantine",
    "The rows of the landing files in force that the contract refuses, as they came, each with its reasons.",
    asset="quarantine",
    partition_by=("event_date",),
    columns=(
        _FILE,
        _ROW_NUMBER,
        _HASH,
        StoredColumn(
            "original", "VARCHAR", "The row of the file as JSON; values of personal columns are keyed hashes."
        ),
        StoredColumn(
            "reasons", "VARCHAR[]", "Every rule that the row breaks, each with what is wrong, in words."
        ),
        _LANDING_DATE,
        _EVENT_DATE,
    ),
)
WITHHELD = Schema(
    "withheld",
    "The days that break the contract, a row for each day and broken rule as of the last build of that day.",
    asset="events",
    partition_by=("event_date",),
    columns=(
        StoredColumn("event_date", "DATE", "The day.", DAY),
        StoredColumn("rule", "VARCHAR", "Name of the broken rule; files_accepted where a file was refused."),
        StoredColumn("message", "VARCHAR", "What was found, and what the rule says."),
        StoredColumn("published", "BOOLEAN", "Whether a waiver let the day's events through all the same."),
        StoredColumn("at", "TIMESTAMPTZ", "When the day was judged.", MOMENT),
    ),
)
WAIVERS = Schema(
    "waivers",
    "Who gave leave to use days although they break the contract, why, and until when. Lines are only added.",
    asset="events",
    writer="`ml-assets data waive`",
    partition_by=("month",),
    columns=(
        StoredColumn("first", "DATE", "The first day it is about.", DAY),
        StoredColumn("last", "DATE", "The last day it is about.", DAY),
        StoredColumn("rule", "VARCHAR", "The rule that may be broken; empty text for any rule."),
        StoredColumn("who", "VARCHAR", "Who gave it."),
        StoredColumn("why", "VARCHAR", "The reason, in their words."),
        StoredColumn("until", "TIMESTAMPTZ", "The moment from which it holds no longer.", MOMENT),
        StoredColumn("at", "TIMESTAMPTZ", "When it was given.", MOMENT),
        StoredColumn("month", "DATE", "First day of the month in which it was given.", DAY),
    ),
)


def raw_schema(contract: Contract, *, typed: bool = True) -> Schema:
    """``raw`` under a contract; of a format that isn't ``typed`` (CSV, JSON lines) the file's columns are text."""
    columns = []
    for name, kind in contract.raw_schema(typed=typed).items():
        read_by = [column for column in contract.columns if name in column.sources]
        listed = ", ".join(f"`{column.name}`" for column in read_by)
        columns.append(StoredColumn(name, kind, f"As it landed; {listed} of events comes from it."))
    return RAW.including(columns)


def events_schema(contract: Contract) -> Schema:
    """``events`` under a contract."""
    own = [c for c in contract.columns if c.name != "available_at"]
    return EVENTS.including(StoredColumn(c.name, c.stored_type, _described(c), _unit(c)) for c in own)


def _described(column: Column) -> str:
    hashed = "Personal: a keyed hash of the value." if column.personal else ""
    return " ".join(part for part in (column.description, hashed) if part)


def _unit(column: Column) -> str | None:
    return {"TIMESTAMPTZ": MOMENT, "DATE": "day"}.get(column.stored_type)


@dataclass(frozen=True)
class SourceTables:
    """The tables of one source."""

    raw: Table
    files: Table
    refused: Table
    events: Table
    quarantine: Table
    withheld: Table
    waivers: Table

    @classmethod
    def of(cls, lake: Lake, source: str) -> "SourceTables":
        """The tables of the source of that name."""
        return cls(
            raw=RAW.table(lake, source),
            files=FILES.table(lake, source),
            refused=REFUSED_FILES.table(lake, source),
            events=EVENTS.table(lake, source),
            quarantine=QUARANTINE.table(lake, source),
            withheld=WITHHELD.table(lake, source),
            waivers=WAIVERS.table(lake, source),
        )
