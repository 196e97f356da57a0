"""Where the project's files are: one root, and everything else below it.

The root is the environment variable ``ML_ASSETS_HOME``, or else the folder that holds the package.
"""

import os
from pathlib import Path

from ml_assets.instance.refusal import Refusal

STAGED = "ML_ASSETS_LANDING"
"""The variable that names a folder of landing files, by source, to read instead of those the sources declare."""

UNUSABLE = "[]#?%\\"
"""What the name of no folder with tables or databases has in it."""
CHECKOUT = Path(__file__).resolve().parents[2]


def root() -> Path:
    """The project's root, absolute. Raises Refusal where no project can be in a folder of that name."""
    named = os.environ.get("ML_ASSETS_HOME")
    found = Path(named).expanduser().resolve() if named else CHECKOUT
    return Path(_usable(str(found), "ML_ASSETS_HOME" if named else "the checkout"))


def _usable(path: str, what: str) -> str:
    """A path that means the same to Delta, DuckDB and SQLite; Refusal for one that some take for a pattern or a URL."""
    if wrong := "".join(sorted(set(UNUSABLE) & set(path))):
        raise Refusal(
            f"{what} is {path!r}: a folder with {' '.join(wrong)} in its name can't hold tables and databases, "
            "which are addressed by patterns and URLs; rename it, or name another folder in ML_ASSETS_HOME"
        )
    return path


def data() -> Path:
    """Where landing files, tables and models are kept."""
    return root() / "data"


def lake_root() -> str:
    """Where the tables are: ``ML_ASSETS_LAKE``, a folder or an object-store URL, or else a folder below ``data``."""
    named = os.environ.get("ML_ASSETS_LAKE")
    if named and "://" not in named:
        return _usable(named, "ML_ASSETS_LAKE")
    return named or str(data() / "lake")


def has_registry() -> bool:
    """Whether MLflow's database has been made."""
    return (data() / "mlflow" / "mlflow.db").exists()


def landing(source: str) -> Path:
    """Where the producer of a source drops its files, by default."""
    return data() / "landing" / source


def dagster_home() -> Path:
    """Where the Dagster instance keeps runs, events and logs: its DAGSTER_HOME, whatever that of the shell is."""
    return root() / ".dagster"


def other_dagster_home() -> Path | None:
    """The DAGSTER_HOME of the environment, if it isn't the project's."""
    named = os.environ.get("DAGSTER_HOME")
    other = Path(named).expanduser().resolve() if named else dagster_home()
    return None if other == dagster_home() else other


def config_file(name: str, home: Path | None = None) -> Path:
    """``dagster.yaml`` or ``workspace.yaml``: the one in ``home`` (the root), or else beside the package.

    Raises FileNotFoundError if neither exists.
    """
    places = [folder / name for folder in dict.fromkeys((home or root(), CHECKOUT))]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(
        f"{name} is needed and was not found: looked for {' and '.join(map(str, places))}. "
        f"Copy it from the project's repository to {places[0].parent}, or set ML_ASSETS_HOME to a folder "
        "that has it."
    )


def prepare_dagster_home(home: Path | None = None) -> Path:
    """Create the DAGSTER_HOME of ``home`` (the root) with the project's ``dagster.yaml`` in it; return it.

    The copy follows the project's file: it is written anew whenever the two differ.
    """
    folder = dagster_home() if home is None else home / ".dagster"
    folder.mkdir(parents=True, exist_ok=True)
    wanted, copy = config_file("dagster.yaml", home).read_bytes(), folder / "dagster.yaml"
    if not copy.is_file() or copy.read_bytes() != wanted:
        partial = folder / f".dagster.yaml.{os.getpid()}"
        partial.write_bytes(wanted)
        partial.replace(copy)
    return folder
