"""What takes long to make and many tests read: made by the first of the test processes, once a session."""

import fcntl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree


@dataclass(frozen=True)
class Once:
    """Folders below ``shared`` that all test processes of a session share; nobody writes to one that is made."""

    shared: Path

    def __call__(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder that ``make`` fills; the first process to ask does it, while the others wait."""
        made, done = self.shared / name / "home", self.shared / name / "done"
        made.parent.mkdir(exist_ok=True)
        with (self.shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                rmtree(made, ignore_errors=True)
                make(made)
                done.touch()
        return made
