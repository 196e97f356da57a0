"""A project that was copied or moved uses its own models.

MLflow keeps the absolute path of everything it has stored, so that a copy of its database goes on using the files of the
original. Those paths are put right in the database of the copy, on record, before anything is read by them.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from ml_assets.instance import clock
from ml_assets.instance.refusal import Refusal

LOCATIONS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}
"""The tables of MLflow that say where files are, and the column that does; versions come last."""
TAG = "ml_assets.moved"
"""The tag of an experiment that says from where, to where and when its files came, as JSON; the newest move."""


def come_home(database: Path, artifacts: Path) -> list[str]:
    """Let MLflow's database name the files below ``artifacts``, its own, instead of another project's; say what changed.

    Raises Refusal where files that it names are there and not here. What is at neither place is told when it is
    loaded, and so are files that aren't those that were registered: versions keep the SHA-256 of theirs.
    """
    if not database.exists() or not database.stat().st_size:
        return []
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True)) as opened:
        tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables.issuperset(LOCATIONS):
            return []
        found = _elsewhere(opened, artifacts)
        if not found:
            return []
        _require(opened, found, artifacts)
        with opened:
            for original in found:
                _rewrite(opened, original, artifacts)
    return [
        f"MLflow's database came with files of {original}: it names those of this project from now on, in {artifacts}"
        for original in found
    ]


def _elsewhere(opened: sqlite3.Connection, artifacts: Path) -> list[Path]:
    """The folders with artifacts of a project that experiments are in, and that aren't this project's."""
    found: dict[Path, None] = {}
    for name, location in opened.execute("SELECT name, artifact_location FROM experiments"):
        folder = Path(location or "")
        root = folder.parent
        if folder.name == name and root.parts[-2:] == artifacts.parts[-2:] and root != artifacts:
            found[root] = None
    return [root for root in found if not (root.exists() and artifacts.exists() and root.samefile(artifacts))]


def _require(opened: sqlite3.Connection, originals: list[Path], artifacts: Path) -> None:
    """Raise Refusal where files of a version are in an original alone."""
    for name, version, location in opened.execute(
        "SELECT name, version, storage_location FROM model_versions WHERE storage_location IS NOT NULL"
    ):
        place = Path(location)
        for original in originals:
            if not place.is_relative_to(original):
                continue
            if place.exists() and not (artifacts / place.relative_to(original)).exists():
                raise Refusal(
                    f"the files of version {version} of {name} are in another project, {original}, and not in this "
                    f"one's {artifacts}: copy that folder here too, or name its project in ML_ASSETS_HOME"
                )


def _rewrite(opened: sqlite3.Connection, original: Path, artifacts: Path) -> None:
    said = json.dumps({"from": str(original), "to": str(artifacts), "at": clock.now().isoformat()})
    opened.execute(
        "INSERT OR REPLACE INTO experiment_tags (key, value, experiment_id) "
        "SELECT ?, ?, experiment_id FROM experiments WHERE artifact_location = ? || '/' || name",
        (TAG, said, str(original)),
    )
    lead = f"{original}/"
    for table, column in LOCATIONS.items():
        opened.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
            (f"{artifacts}/", len(lead) + 1, len(lead), lead),
        )
