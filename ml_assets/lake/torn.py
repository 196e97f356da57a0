"""Commits that a power failure tore: found, told, and mended on record.

A file system may keep the name of a file whose bytes never reached the disk. Delta takes an empty commit for one
without actions: the rows it brought are gone without a word, and every entry of the history before it is told a
version too high. A commit that is half there closes the table altogether. Object stores keep a file whole or not at all.
"""

import json
import os
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from ml_assets.instance import clock
from ml_assets.lake.provenance import Provenance

LOG = "_delta_log"
OPERATION = "MEND"
"""What Delta's history calls the commit that stands for a torn one."""
PARQUET = b"PAR1"


def mend(root: str) -> list[str]:
    """Mend the logs of all tables below the root of a lake; say what was torn, by table and commit.

    A torn commit becomes one that changes nothing and says why, so that versions keep their numbers; what was built
    by it is due again. Its bytes stay beside it. Who mends at the same time does the same.
    """
    if "://" in root:
        return []
    logs = sorted(Path(root).glob(f"*/*/{LOG}"))
    return [f"Table {log.parent.relative_to(root)}: {said}" for log in logs for said in _mended(log)]


def is_empty(uri: str, version: int) -> bool:
    """Whether the commit that made a version of a table has no bytes; never in an object store."""
    commit = Path(uri, LOG, f"{version:020}.json")
    return "://" not in uri and commit.exists() and not commit.stat().st_size


def _mended(log: Path) -> Iterator[str]:
    yield from _without_torn_checkpoints(log)
    commits = sorted(log.glob(f"{'[0-9]' * 20}.json"))
    torn = {path for path in commits if not path.stat().st_size}
    torn |= set(takewhile(lambda path: not _is_whole(path), reversed(commits)))
    if torn and len(torn) == len(commits):
        log.rename(_free(log))
        yield "none of its commits has reached the disk; it is made anew."
        return
    for path in sorted(torn):
        _replace(path)
        yield (
            f"commit {int(path.stem)} has not reached the disk whole, as after a power failure. It is on record as "
            "empty; what it wrote is due again where it is built from other tables, and lost where it isn't."
        )


def _without_torn_checkpoints(log: Path) -> Iterator[str]:
    """Checkpoints spare reading the commits, which are all kept."""
    for path in sorted(log.glob("*.checkpoint*.parquet")):
        content = path.read_bytes()
        if content[:4] != PARQUET or content[-4:] != PARQUET:
            path.rename(_free(path))
            (log / "_last_checkpoint").unlink(missing_ok=True)
            yield f"the checkpoint {path.name} has not reached the disk whole; it is read without."


def _is_whole(path: Path) -> bool:
    """Whether a commit is JSON to its end, with as many files added as it says."""
    try:
        actions = [json.loads(line) for line in path.read_text().splitlines()]
    except ValueError:
        return False
    added = sum("add" in action for action in actions)
    said = [action["commitInfo"].get("operationMetrics", {}) for action in actions if "commitInfo" in action]
    return bool(actions) and all(metrics.get("num_added_files", added) == added for metrics in said)


def _replace(path: Path) -> None:
    _free(path).write_bytes(path.read_bytes())
    why = "the commit was torn, as by a power failure"
    info = {
        "timestamp": int(clock.now().timestamp() * 1000),
        "operation": OPERATION,
        "operationParameters": {},
        **Provenance(facts={"why": why}).as_metadata(),
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w") as file:
        json.dump({"commitInfo": info}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _free(path: Path) -> Path:
    """A name beside it that says what it is, and that nothing has."""
    names = (path.with_name(f"{path.name}.torn{number or ''}") for number in range(1_000))
    return next(name for name in names if not name.exists())
