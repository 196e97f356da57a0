"""Where a Delta table is: opened at a version, and refused where another hand made it."""

from collections.abc import Mapping
from dataclasses import dataclass

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from ml_assets.lake.errors import Damaged, LakeError, plain
from ml_assets.lake.torn import LOG, is_empty

MEND = "`ml-assets init`"
"""The command that mends torn logs; others and every run do so too as they start."""


@dataclass(frozen=True)
class Location:
    """A Delta table's place, in a folder or an object store, whether there is one yet or not."""

    name: str
    uri: str
    partition_by: tuple[str, ...]
    storage_options: Mapping[str, str]

    def open(self, version: int | None = None) -> DeltaTable | None:
        """The table at a version (default: the newest), or None before the first write.

        Raises LakeError if it has no such version, and Damaged if its log can't be read, or ends in nothing.
        """
        try:
            found = DeltaTable(self.uri, version=version, storage_options=dict(self.storage_options))
        except TableNotFoundError:
            return None
        except DeltaError as error:
            newest = self.version if version is not None else None
            if version is None or newest is None or version <= newest:
                raise Damaged(
                    f"Table {self.name}: its log in {self.uri}/{LOG} can't be read ({plain(error)}). After a power "
                    f"failure {MEND} mends the end of it; else restore the table's folder from a backup."
                ) from None
            raise LakeError(
                f"Table {self.name} has no version {version}; its newest is {newest}. "
                "Materialize again what asks for that version."
            ) from error
        if is_empty(self.uri, found.version()):
            raise Damaged(
                f"Table {self.name}: commit {found.version()} is empty, as after a power failure, and what it wrote is "
                f"missing. {MEND} takes it out, on record; what it wrote is due again then."
            )
        return found

    def opened(self, version: int | None = None) -> DeltaTable:
        """The same, of a table that has to be there and to be partitioned as declared. Raises LakeError."""
        delta = self.open(version)
        if delta is None:
            raise LakeError(
                f"Table {self.name} doesn't exist yet in {self._root}. Materialize the asset that writes it first."
            )
        partitioned = tuple(delta.metadata().partition_columns)
        if partitioned != self.partition_by:
            raise LakeError(
                f"Table {self.name} in {self._root} is partitioned by {', '.join(partitioned)}; "
                f"{', '.join(self.partition_by)} expected. Another version of ml_assets made it: put its folder "
                "away, and materialize the asset again."
            )
        return delta

    @property
    def version(self) -> int | None:
        """The newest version, or None before the first write."""
        delta = self.open()
        return None if delta is None else delta.version()

    @property
    def _root(self) -> str:
        return self.uri.removesuffix(f"/{self.name}")
