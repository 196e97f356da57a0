"""The formats of landing files. To add one, write its file beside these and name its class here."""

from ml_assets.landing.formats.csv import Csv
from ml_assets.landing.formats.format import Format
from ml_assets.landing.formats.json_lines import JsonLines
from ml_assets.landing.formats.parquet import Parquet

FORMATS: tuple[type[Format], ...] = (Parquet, Csv, JsonLines)


def suffixes() -> tuple[str, ...]:
    """What the names of landing files may end in."""
    return tuple(suffix for kind in FORMATS for suffix in kind.suffixes)


def format_of(name: str) -> type[Format] | None:
    """The format of a file by its name; None if it is none of these."""
    return next((kind for kind in FORMATS if name.endswith(kind.suffixes)), None)
