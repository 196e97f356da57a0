"""What made a model: commit, uncommitted changes, the lock file's hash, and the machine."""

import hashlib
import os
import platform
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@lru_cache(maxsize=1)
def code_facts() -> dict[str, str]:
    """Tags for a model version: ``git_commit``, ``git_dirty`` and ``lock``; 'unknown' outside a checkout."""
    lock = CHECKOUT / "requirements.lock"
    status = _git("status", "--porcelain")
    return {
        "git_commit": _git("rev-parse", "HEAD") or "unknown",
        "git_dirty": "unknown" if status is None else str(bool(status)).lower(),
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else "unknown",
    }


def code_version() -> str:
    """The git commit, with ``+changes`` where there are uncommitted ones; empty outside a checkout."""
    facts = code_facts()
    if facts["git_commit"] == "unknown":
        return ""
    return facts["git_commit"] + ("+changes" if facts["git_dirty"] == "true" else "")


@lru_cache(maxsize=1)
def machine_facts() -> dict[str, str | int]:
    """The machine and the versions that numbers may depend on."""
    from importlib.metadata import version

    return {
        "platform": platform.platform(),
        "cpus": os.cpu_count() or 0,
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "pandas", "scikit-learn", "duckdb")},
        "xgboost": version("xgboost" if sys.platform == "darwin" else "xgboost-cpu"),
    }


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
