"""What a table of the lake holds: its columns with type, meaning and unit, and how it is partitioned."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ml_assets.lake.table import Lake, Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

DAY = "UTC day"
MOMENT = "UTC moment"
ROWS = "rows"
SHARE = "share, 0 to 1"
SECONDS = "seconds"
LOSS = "normalised loss"


@dataclass(frozen=True)
class StoredColumn:
    """A column of a table, as it is stored."""

    name: str
    type: str
    """Its DuckDB type."""
    means: str
    """What it says, in a sentence."""
    unit: str | None = None
    """What its values are counted in; None where they have no unit, or that of what they come from."""

    @property
    def described(self) -> str:
        """Meaning and unit, on one line."""
        return f"{self.means.removesuffix('.')}. Unit: {self.unit}." if self.unit else self.means


@dataclass(frozen=True)
class Schema:
    """All there is to say of a table before it has rows. Each table's stands once; whoever reads it asks this."""

    name: str
    """Below that of its owner: ``drift`` of ``lapse/drift``."""
    holds: str
    """What it is for, and what a row is."""
    asset: str
    """The asset of the owner that it belongs to."""
    partition_by: tuple[str, ...]
    """The partition columns, the leading one a DATE."""
    columns: tuple[StoredColumn, ...]
    writer: str | None = None
    """Who writes it, where that isn't its asset alone."""

    @property
    def types(self) -> dict[str, str]:
        """Column -> DuckDB type, in order."""
        return {column.name: column.type for column in self.columns}

    def column(self, name: str) -> StoredColumn:
        """The column of that name; KeyError if there is none."""
        return {column.name: column for column in self.columns}[name]

    def table(self, lake: Lake, owner: str) -> Table:
        """The table of a source, a feature group or a model of the name ``owner``; it need not exist yet."""
        return lake.table(f"{owner}/{self.name}", *self.partition_by)

    def including(self, columns: Iterable[StoredColumn], after: str | None = None) -> "Schema":
        """With columns that only a declaration knows, ``after`` one of the others (default: in front)."""
        at = 0 if after is None else list(self.types).index(after) + 1
        return replace(self, columns=(*self.columns[:at], *columns, *self.columns[at:]))


def short(kind: str) -> str:
    """A DuckDB type as schemas call it, from how DuckDB calls it."""
    return kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")


def types_of(rows: "DuckDBPyRelation") -> dict[str, str]:
    """Column -> DuckDB type of a relation, as schemas call them."""
    return {name: short(str(kind)) for name, kind in zip(rows.columns, rows.types, strict=True)}
