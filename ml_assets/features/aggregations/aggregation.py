"""What an aggregation is: typed parts that tiles hold, how parts become one, and how one becomes a value.

Three families differ in how parts become one: ``Folded`` by an SQL aggregate, ``Tally`` by adding up how often each
value occurs, ``Distinct`` by the union of sets. A plan (snapshot, spine, request) knows the families and nothing of
their members. Merging is associative and commutative, and parts never contain as_of, so that a tile serves them all.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Literal


@dataclass(frozen=True)
class Part:
    """A column of tiles, ``<feature>__<part>``: what the events of a day leave behind."""

    type: str
    """Its DuckDB type; ``{value}`` stands for the type of what is aggregated."""
    of_events: str
    """The SQL aggregate of events; empty where values are counted one by one."""
    merge: Literal["SUM", "MIN", "MAX", "COUNTS", "UNION"]
    """How parts become one: by an SQL aggregate, by the sum of each value's count, or by the union of sets."""

    @property
    def subtracts(self) -> bool:
        """Whether a part can be taken away again by adding its negative; of a least, a last or a set it can't."""
        return self.merge in ("SUM", "COUNTS")

    def merged(self, column: str, among: str = "") -> str:
        """The SQL aggregate that takes the parts in a column together, those of a ``FILTER`` or ``OVER``.

        A sum of DECIMAL(38, s) is one too, of BIGINT it would be a HUGEINT.
        """
        folded = f"{self.merge}({column}) {among}".rstrip()
        return f"CAST({folded} AS {self.type})" if self.type == "BIGINT" else folded


@dataclass(frozen=True)
class Aggregation(ABC):
    """One way to aggregate events, for the feature ``name``; a subclass says all there is to say of it."""

    name: str
    expression: str
    """The SQL expression of an event that is aggregated."""
    where: str | None = None
    """The SQL condition of the events that count."""

    key: ClassVar[str]
    """The key in the YAML."""
    means: ClassVar[str]
    """What it gives, as a sentence."""
    takes: ClassVar[str]
    """What the expression may be, in words."""
    gives: ClassVar[str]
    """The DuckDB type of its values; ``{value}`` stands for that of the expression."""
    unit: ClassVar[str | None] = None
    """The unit of its values; None: that of the expression."""
    windowed: ClassVar[bool] = True
    """Whether it looks back over windows, or without a limit."""
    empty: ClassVar[Literal["0", "NULL"]] = "NULL"
    """Its value where there are no events."""
    version: ClassVar[int] = 1
    """Raised by a release under which the same declaration gives other values."""

    @classmethod
    def parameters(cls) -> set[str]:
        """The YAML keys that it takes beside its own."""
        return {field.name for field in fields(cls)} - {field.name for field in fields(Aggregation)}

    @property
    @abstractmethod
    def parts(self) -> Mapping[str, Part]:
        """The parts of a tile, by their names."""

    @property
    def columns(self) -> dict[str, Part]:
        """The parts of a tile, by their columns."""
        return {f"{self.name}__{part}": each for part, each in self.parts.items()}

    @property
    def read(self) -> str | None:
        """The expression, where values of events are read at all."""
        return self.expression

    @property
    def subtracts(self) -> bool:
        """Whether events can be taken out of the merged parts again."""
        return all(part.subtracts for part in self.parts.values())

    def why_not(self, type: str) -> str | None:
        """Why it takes no expression of this DuckDB type, and what would do; None where it does."""
        return None

    def or_empty(self, value: str) -> str:
        """The value as SQL, with what stands for no events."""
        return value if self.empty == "NULL" else f"COALESCE({value}, {self.empty})"

    def conditions(self, needs_value: bool = True) -> list[str]:
        """The SQL conditions of an event that counts."""
        given = [f"({self.where})"] if self.where else []
        return [*given, f"({self.expression}) IS NOT NULL"] if needs_value else given

    def counted(self, needs_value: bool = True) -> str:
        """The ``FILTER`` that leaves the events which count."""
        conditions = self.conditions(needs_value)
        return f" FILTER (WHERE {' AND '.join(conditions)})" if conditions else ""


class Folded(Aggregation):
    """An aggregation whose parts are merged by SQL aggregates, each for itself."""

    @abstractmethod
    def finish(self, parts: Mapping[str, str], as_of: str) -> str:
        """The value as SQL, from the merged parts and the moment, SQL expressions each."""


class Tally(Aggregation):
    """An aggregation of how often each value occurs: the part ``counts`` lists values, in order, with their numbers."""

    counted_type: ClassVar[str] = "{value}"
    """The DuckDB type in which values are counted; ``{value}`` stands for that of the expression."""

    @property
    def parts(self) -> Mapping[str, Part]:
        """The list of values with how often each occurs."""
        return {"counts": Part(f'STRUCT("value" {self.counted_type}, n BIGINT)[]', "", "COUNTS")}

    @property
    def list(self) -> str:
        """The column of tiles that holds the list."""
        return f"{self.name}__counts"

    @property
    def value(self) -> str:
        """The value of an event that is counted, as SQL."""
        return self.expression

    @abstractmethod
    def finish_counts(self, counts: str, keys: str, column: str) -> str:
        """The query that gives the ``keys`` and the value as ``column``, from the merged counts.

        ``counts`` is a relation of the keys, ``__value`` and ``__n``, how often it occurs: above 0, each value once.
        """
