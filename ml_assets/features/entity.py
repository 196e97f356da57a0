"""What a prediction is about: one column or several, always compared column by column."""

from ml_assets.lake.sql import quote


class Entity(tuple[str, ...]):
    """The columns that together name an entity; as text, their list for SQL, quoted."""

    def __new__(cls, *columns: str) -> "Entity":
        """An entity of these columns."""
        return super().__new__(cls, columns)

    def __str__(self) -> str:
        return ", ".join(map(quote, self))

    @property
    def words(self) -> str:
        """The columns, for a person."""
        return ", ".join(self)

    def of(self, relation: str) -> str:
        """The columns of a relation, as a list for SQL."""
        return ", ".join(f"{relation}.{quote(column)}" for column in self)

    def equal(self, left: str, right: str) -> str:
        """The condition that rows of two relations are about the same entity."""
        return " AND ".join(f"{left}.{quote(column)} = {right}.{quote(column)}" for column in self)

    @property
    def is_named(self) -> str:
        """The condition that a row is about an entity at all."""
        return " AND ".join(f"{quote(column)} IS NOT NULL" for column in self)
