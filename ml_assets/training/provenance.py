"""Which code made a model: commit, uncommitted changes, and the lock file's hash."""

import hashlib
import subprocess
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


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
