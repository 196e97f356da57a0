"""Counting the values of many features by bin, in one scan of the rows."""

import math
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Any, Literal

import duckdb

from ml_assets.lake.sql import quote, text

Kind = Literal["numeric", "categorical", "volume"]
"""Numbers, categories, or the number of rows itself."""

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
NUMERIC_TYPES = (*INTEGERS, *(f"U{name}" for name in INTEGERS), "FLOAT", "DOUBLE", "DECIMAL", '"NULL"')

BITS_A_VALUE, LEAST_BITS, MOST_BITS = 16, 2**10, 2**22


class ProfileError(Exception):
    """Rows that can't be profiled or measured; the message names the column and what to do."""


@dataclass(frozen=True)
class Bins:
    """How the values of one feature are counted: numbers between edges, or named categories and all others.

    A bin includes its upper edge; the outer ones are open. ``seen`` is as ``seen_bits`` makes it, or empty where no
    other values were seen than the categories.
    """

    feature: str
    kind: Kind
    edges: list[float]
    categories: list[str]
    seen: bytes = b""


@dataclass(frozen=True)
class Counted:
    """One feature in some rows: non-null values by bin, nulls; mean, least and greatest (None without numbers).

    ``unseen`` are the values that ``Bins.seen`` has no bit of.
    """

    counts: list[int]
    nulls: int
    mean: float | None = None
    lowest: float | None = None
    highest: float | None = None
    unseen: int = 0

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(self.counts) + self.nulls

    @property
    def null_share(self) -> float:
        """Nulls among all rows; 0 without rows."""
        return self.nulls / self.rows if self.rows else 0.0


def count_bins(
    con: duckdb.DuckDBPyConnection,
    rows: duckdb.DuckDBPyRelation,
    bins: Sequence[Bins],
    block: str | None = None,
) -> dict[Hashable, list[Counted]]:
    """Count the rows by bin, for every feature at once and for every value of ``block``, in one scan.

    The lists follow ``bins``. Without ``block`` there is one entry, None, even if there are no rows.
    Raises ProfileError where a column is missing or not of its kind.
    """
    types = types_of(rows, [b.feature for b in bins] + ([block] if block else []))
    picked = ["count(*)"]
    for place, b in enumerate(bins):
        value = value_of(b.feature, b.kind, types[b.feature])
        picked.append(_histogram(b, value))
        picked.append(
            f"[favg({value}), min({value}), max({value})]" if b.kind == "numeric" else "NULL::DOUBLE[]"
        )
        picked.append(_unseen(place, b, value))
    key, grouped = (quote(block), " GROUP BY 1 ORDER BY 1") if block else ("NULL", "")
    sql = f"SELECT {key}, {', '.join(picked)} FROM counted_rows{grouped}"
    rows.create_view("counted_rows", replace=True)
    seen = {f"seen{place}": b.seen for place, b in enumerate(bins) if b.seen}
    return {
        key: [_counted(b, total, *found[3 * i : 3 * i + 3]) for i, b in enumerate(bins)]
        for key, total, *found in con.execute(sql, seen).fetchall()
    }


def seen_bits(values: Collection[str]) -> bytes:
    """A bit for each value, by its MD5, among at least 16 times as many (up to 4 million, half a megabyte).

    Another value meets a bit that is set by as much chance as bits are set: ``share_set``. (B. Bloom, "Space/time
    trade-offs in hash coding with allowable errors", Communications of the ACM 13, 1970, with one hash.)
    """
    size = min(MOST_BITS, max(LEAST_BITS, 2 ** (BITS_A_VALUE * len(values)).bit_length()))
    bits = bytearray(size // 8)
    for value in values:
        place = int.from_bytes(md5(value.encode(), usedforsecurity=False).digest()[8:], "little") % size
        bits[place // 8] |= 128 >> place % 8
    return bytes(bits)


def share_set(bits: bytes) -> float:
    """The share of the bits that are set."""
    return int.from_bytes(bits).bit_count() / (8 * len(bits))


def types_of(rows: duckdb.DuckDBPyRelation, wanted: Sequence[str]) -> dict[str, str]:
    """The DuckDB type of every column. Raises ProfileError where a wanted one is missing."""
    types = {name: str(kind) for name, kind in zip(rows.columns, rows.types, strict=True)}
    missing = [name for name in wanted if name not in types]
    if missing:
        raise ProfileError(
            f"The rows have no column {', '.join(missing)}; they have {', '.join(types)}. Materialize the "
            "snapshot of these days again if the feature was declared since; train again if it was renamed."
        )
    return types


def value_of(name: str, kind: Kind, sql_type: str) -> str:
    """SQL of a feature's value: a finite double, or text. Booleans are spelt as in training frames."""
    column = quote(name)
    if kind == "numeric":
        if not sql_type.startswith(NUMERIC_TYPES):
            raise ProfileError(f"{name} is a {sql_type}, not a number. List it as categorical.")
        return f"(CASE WHEN isfinite({column}::DOUBLE) THEN {column}::DOUBLE END)"
    if sql_type == "BOOLEAN":
        return f"(CASE {column} WHEN true THEN 'True' WHEN false THEN 'False' END)"
    return f"{column}::VARCHAR"


def rounded(value: float | None) -> float | None:
    """12 significant digits, so that the order in which doubles were added doesn't show."""
    return None if value is None else float(f"{value:.12g}")


def _histogram(bins: Bins, value: str) -> str:
    """SQL of a map from upper edge, or from position in the categories (0 for all others), to a count."""
    if bins.kind == "numeric":
        return f"histogram({value}, {_list(map(repr, [*bins.edges, math.inf]))}::DOUBLE[])"
    position = f"coalesce(list_position({_list(bins.categories)}::VARCHAR[], {value}), 0)"
    return f"histogram(CASE WHEN {value} IS NOT NULL THEN {position} END)"


def _unseen(place: int, bins: Bins, value: str) -> str:
    """SQL of how many values have no bit among the parameter ``seen<place>``."""
    if not bins.seen:
        return "0"
    bit = f"(md5_number_lower({value}) % {8 * len(bins.seen)})::INTEGER"
    return f"count(*) FILTER (WHERE get_bit($seen{place}::BLOB::BIT, {bit}) = 0)"


def _counted(
    bins: Bins, total: int, found: Mapping[float, int] | None, numbers: Sequence[Any] | None, unseen: int
) -> Counted:
    by_key = found or {}
    keys = [*bins.edges, math.inf] if bins.kind == "numeric" else [*range(1, len(bins.categories) + 1), 0]
    counts = [by_key.get(key, 0) for key in keys]
    mean, lowest, highest = numbers or (None, None, None)
    return Counted(counts, total - sum(counts), rounded(mean), lowest, highest, unseen)


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(text, values))}]"
