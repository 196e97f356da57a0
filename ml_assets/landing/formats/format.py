"""What a format of landing files has to say: its names, and how its files are read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import duckdb

from ml_assets.contracts import Contract
from ml_assets.instance.progress import counted
from ml_assets.landing.formats.sandbox import Sandbox, unreadable
from ml_assets.landing.formats.unsound import Unsound, cannot_open
from ml_assets.landing.pieces import LandingFile

Hashed = tuple[LandingFile, str]
"""A file, and the content hash that it had when it was looked at."""


@dataclass(frozen=True)
class Sampled:
    """What was read of files that no contract describes yet.

    ``types`` are the columns with their DuckDB types, ``counts`` the rows of every file, ``options`` what
    ``landing`` in defs.yaml has to say for the files to be read so.
    """

    types: Mapping[str, str]
    counts: Sequence[int]
    options: Mapping[str, str] = field(default_factory=dict)


class Format(ABC):
    """A format of landing files: ``words`` name it, and names of its files end in one of ``suffixes``.

    The values of a ``typed`` format have the contract's types, those of any other are kept as the text that is
    written. ``nests`` is whether such a text can be a list or an object as JSON.
    """

    words: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    typed: ClassVar[bool] = False
    nests: ClassVar[bool] = False

    @classmethod
    def of(cls, delimiter: str | None) -> Self:
        """The format as a landing declares it; ValueError for a delimiter that can't part two fields."""
        return cls()

    @abstractmethod
    def insert(
        self, sandbox: Sandbox, files: Sequence[Hashed], contract: Contract, table: str
    ) -> dict[Path, Unsound]:
        """Insert the rows of files into ``table`` of the sandbox's target; returns why each bad one is refused.

        ``table`` has the contract's source columns, then landing_date, file, content_hash and row_number (from
        1). Rows of bad files may have been inserted. Raises OutOfRoom where no file is to blame.
        """

    @abstractmethod
    def sample(self, con: duckdb.DuckDBPyConnection, table: str, paths: Sequence[Path]) -> Sampled:
        """Read files of one set of columns, whatever it is, into the new temporary ``table``.

        It has their columns and, as FILE, the number of each row's file. ContractError names the first file that
        doesn't fit.
        """


class TextFormat(Format):
    """A format of text files, which are read one by one."""

    @abstractmethod
    def insert_file(
        self, sandbox: Sandbox, file: LandingFile, digest: str, contract: Contract, table: str
    ) -> None:
        """Insert a file's rows into ``table``; Unsound, duckdb.Error or OSError if it can't be taken in."""

    def insert(
        self, sandbox: Sandbox, files: Sequence[Hashed], contract: Contract, table: str
    ) -> dict[Path, Unsound]:
        """See ``Format.insert``."""
        problems: dict[Path, Unsound] = {}
        for file, digest in counted(files, "files"):
            try:
                self.insert_file(sandbox, file, digest, contract, table)
            except Unsound as error:
                problems[file.path] = error
                sandbox.renew()
            except duckdb.Error as error:
                problems[file.path] = unreadable(error)
                sandbox.renew()
            except OSError as error:
                problems[file.path] = cannot_open(error)
        return problems
