"""Which Parquet types hold nothing that another type would lose."""

import re

INTEGER_DIGITS = {
    "UTINYINT": 3,
    "TINYINT": 3,
    "USMALLINT": 5,
    "SMALLINT": 5,
    "UINTEGER": 10,
    "INTEGER": 10,
    "BIGINT": 19,
    "UBIGINT": 20,
}
WIDER = {
    "SMALLINT": {"TINYINT", "UTINYINT"},
    "INTEGER": {"TINYINT", "UTINYINT", "SMALLINT", "USMALLINT"},
    "BIGINT": {"TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER"},
    "FLOAT": {"TINYINT", "UTINYINT", "SMALLINT", "USMALLINT"},
    "DOUBLE": {"FLOAT", "TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER"},
}
WALL_CLOCK = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}
NANOSECONDS = {"TIMESTAMP_NS", "TIMESTAMPTZ_NS"}
NOTHING = '"NULL"'
"""The type of a column in which no row has a value, as pandas writes it."""
NESTED = "NESTED"
UNREADABLE = {NESTED, "BLOB"}


def lossless(found: str, wanted: str) -> bool:
    """Whether every value of type ``found`` is exactly one of type ``wanted``, both in canonical spelling.

    A wall-clock timestamp counts as a TIMESTAMPTZ, its zone being the contract's; nanoseconds are cut.
    """
    if found in (wanted, NOTHING) or found in WIDER.get(wanted, ()):
        return True
    if wanted == "TIMESTAMPTZ":
        return found in WALL_CLOCK | NANOSECONDS
    into = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", wanted)
    if into is None:
        return False
    whole, decimals = int(into[1]) - int(into[2]), int(into[2])
    of = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", found)
    if of is not None:
        return int(of[2]) <= decimals and int(of[1]) - int(of[2]) <= whole
    return found in INTEGER_DIGITS and INTEGER_DIGITS[found] <= whole
