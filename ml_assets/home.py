"""Where the project's files are: one root, and everything else below it.

The root is the environment variable ``ML_ASSETS_HOME``, or else the folder that holds the package.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def root() -> Path:
    """The project's root, absolute."""
    named = os.environ.get("ML_ASSETS_HOME")
    return Path(named).expanduser().resolve() if named else CHECKOUT


def data() -> Path:
    """Where landing files, tables and models are kept."""
    return root() / "data"


def landing(source: str) -> Path:
    """Where the producer of a source drops its files, by default."""
    return data() / "landing" / source


def dagster_home() -> Path:
    """Where the Dagster instance keeps runs, events and logs: its DAGSTER_HOME."""
    return root() / ".dagster"


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


def code_facts() -> dict[str, str]:
    """What code this is: ``git_commit``, with ``+changes`` if files differ from it, and ``lock_sha256``.

    A fact that can't be known, outside a git checkout or without a lock file, is ``none``.
    """
    lock = CHECKOUT / "requirements.lock"
    commit = _git("rev-parse", "HEAD")
    return {
        "git_commit": f"{commit}+changes" if commit and _git("status", "--porcelain") else commit or "none",
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else "none",
    }


def _git(*command: str) -> str | None:
    """What git prints about this checkout; None without git, a checkout or a commit."""
    if shutil.which("git") is None or not (CHECKOUT / ".git").exists():
        return None
    done = subprocess.run(
        ["git", "-C", str(CHECKOUT), *command], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout.strip() if done.returncode == 0 else None
