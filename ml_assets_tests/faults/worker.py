"""A process that forks children which do a shop's work, and kills each at the point it is told.

``python -m ml_assets_tests.faults.worker`` reads a request a line from its standard input, JSON, and answers each
with a line. It imports everything once and opens no Delta table itself, so that forking is safe and cheap.
A request has the ``folder`` of a shop and where to kill:

- ``step``: the child kills itself at that many calls and returns, C functions included, of the code that lands,
  writes events, tiles and snapshots, and writes Delta tables: every place between two statements there is;
- ``files``: when that many files more than at the start are below the lake, those that Delta only begins
  to write included: places within a write;
- ``seconds``: that long after the start;
- none of them: not at all.

The answer says whether it was ``killed``, what it was ``at``, and how many ``steps`` and ``files`` and ``seconds`` that
took; and the ``error`` of a child that failed. A child that comes to its end leaves ``steps.json`` in the folder: what
it was at, to which step, in order. Further wishes: from its first write of the table ``full[0]`` the child can write no
file longer than ``full[1]`` bytes; it works as the ``user`` of that number.

A request with ``together``, a list of shops and ranges of days, is for as many children at once, each of which runs over
its days. The answer says what they ``exit`` with, and how many ``conflicts`` between two commits they met.
"""

import json
import mmap
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import deltalake
import pyarrow.dataset  # noqa: F401
from deltalake.exceptions import CommitFailedError

import ml_assets
from ml_assets.contracts.enforce import classify, references, validate  # noqa: F401
from ml_assets.features import store  # noqa: F401
from ml_assets.lake import table as tables
from ml_assets.lake import write as commits
from ml_assets.lake.location import Location
from ml_assets_tests.faults.shop import Shop

WATCHED = tuple(
    str(Path(package).parent / part) + os.sep
    for package, parts in ((ml_assets.__file__, ("lake", "landing", "features")), (deltalake.__file__, ("",)))
    for part in parts
)
WRITING = {"replace", "append", "update"}
DOING = {"land", "write_events", "write_tiles", "write_snapshots"}
NUMBER, TEXT, ERROR = 8, 56, 4096
LIMIT = 64
WAIT = 60
"""Seconds after which children that wait for each other give up."""


class Told(mmap.mmap):
    """Memory that a child and its parent share: how many steps it has made, what it is at, why it failed."""

    def say(self, steps: int, at: str) -> None:
        self[: NUMBER + TEXT] = struct.pack(f"<q{TEXT}s", steps, at.encode())

    def fail(self, error: BaseException) -> None:
        self[NUMBER + TEXT :] = f"{type(error).__name__}: {error}".encode()[:ERROR].ljust(ERROR, b"\0")

    def told(self) -> tuple[int, str, str]:
        steps, *texts = struct.unpack(f"<q{TEXT}s{ERROR}s", self[:])
        at, error = (text.rstrip(b"\0").decode(errors="replace") for text in texts)
        return steps, at, error


class Steps:
    """A profile function that counts steps, tells what is being done, and kills the process at a certain one."""

    def __init__(self, told: Told, last: int | None) -> None:
        self.told, self.last, self.number = told, last, 0
        self.parts: list[tuple[str, int]] = []
        self.doing: list[tuple[FrameType, str]] = []
        self.watched: dict[str, bool] = {}

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        file = frame.f_code.co_filename
        if file not in self.watched:
            self.watched[file] = file.startswith(WATCHED)
        if not self.watched[file]:
            return
        name = frame.f_code.co_name
        if event == "call" and name in WRITING and file.endswith("table.py") and "self" in frame.f_locals:
            self.doing.append((frame, frame.f_locals["self"].name.split("/")[1]))
        elif event == "call" and name in DOING:
            self.doing.append((frame, f"between, in {name}"))
        self.number += 1
        at = self.doing[-1][1] if self.doing else "between runs"
        self.told.say(self.number, at)
        if self.parts and self.parts[-1][0] == at:
            self.parts.pop()
        self.parts.append((at, self.number))
        if self.number == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        if event == "return" and self.doing and self.doing[-1][0] is frame:
            self.doing.pop()


def fill_up(table: str, most: int) -> None:
    """From the first write of a table no file of this process gets longer than so many bytes."""
    write = tables.write

    def limited(at: Location, *args: Any, **how: Any) -> int:
        if at.name.endswith(f"/{table}"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        return write(at, *args, **how)

    tables.write = limited  # type: ignore[attr-defined]


def work(request: dict[str, Any], told: Told) -> None:
    """What a child does, to its end."""
    if "full" in request:
        fill_up(*request["full"])
    if "user" in request:
        os.setgroups([])
        os.setgid(request["user"])
        os.setuid(request["user"])
    shop = Shop(Path(request["folder"]))
    assert shop.group
    steps = Steps(told, request.get("step"))
    sys.setprofile(steps)
    shop.built.work()
    sys.setprofile(None)
    if "full" not in request:
        (shop.folder / "steps.json").write_text(json.dumps(steps.parts))


def forked(told: Told, does: Callable[[], None]) -> int:
    """A child that does something and exits with 0, or tells why it couldn't and exits with 1."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            does()
            code = 0
        except BaseException as error:
            told.fail(error)
        finally:
            os._exit(code)
    return child


def files_below(folder: Path) -> int:
    """How many files there are, however deep."""
    return sum(len(files) for _, _, files in os.walk(folder))


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Fork a child for a request, kill it as it says, and tell how it went."""
    folder, told = Path(request["folder"]), Told(-1, NUMBER + TEXT + ERROR)
    before, start = files_below(folder / "lake"), time.monotonic()
    child = forked(told, lambda: work(request, told))
    ended, status = 0, 0
    while not ended:
        ended, status = os.waitpid(child, os.WNOHANG)
        too_many = "files" in request and files_below(folder / "lake") >= before + request["files"]
        if not ended and (too_many or time.monotonic() - start > request.get("seconds", 60)):
            os.kill(child, signal.SIGKILL)
            ended, status = os.waitpid(child, 0)
        elif "files" not in request:
            time.sleep(0.001)
    steps, at, error = told.told()
    return {
        "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        "exit": None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status),
        "at": at,
        "steps": steps,
        "files": files_below(folder / "lake") - before,
        "seconds": time.monotonic() - start,
        "error": error,
    }


def together(request: dict[str, Any]) -> dict[str, Any]:
    """Fork a child for each shop and range of days; they wait for each other, then all run at once."""
    ready, conflicts, places = Told(-1, LIMIT), Told(-1, LIMIT), enumerate(request["together"])
    told = [Told(-1, NUMBER + TEXT + ERROR) for _ in request["together"]]

    def run(number: int, place: dict[str, Any]) -> None:
        shop = Shop(**place["shop"] | {"folder": Path(place["shop"]["folder"])})
        assert shop.group
        count_conflicts(conflicts, number)
        ready[number] = 1
        late = time.monotonic() + WAIT
        while sum(ready[:]) < len(told):
            if time.monotonic() > late:
                raise TimeoutError(
                    f"{len(told) - sum(ready[:])} of {len(told)} children are not ready in {WAIT} s"
                )
            time.sleep(0.0005)
        time.sleep(place.get("after", 0))
        shop.built.run_days((date.fromisoformat(place["first"]), date.fromisoformat(place["last"])))

    children = [forked(told[n], lambda n=n, place=place: run(n, place)) for n, place in places]  # type: ignore[misc]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    errors = [each.told()[2] for each in told]
    return {"exit": statuses, "errors": errors, "conflicts": sum(conflicts[:])}


def count_conflicts(memory: Told, number: int) -> None:
    """Count in a byte of ``memory`` how often this process's commits are refused for another's."""
    write = commits.write_deltalake

    def counted(*args: Any, **how: Any) -> None:
        try:
            write(*args, **how)
        except CommitFailedError:
            memory[number] += 1
            raise

    commits.write_deltalake = counted  # type: ignore[assignment]


if __name__ == "__main__":
    with TemporaryDirectory() as scratch:
        assert Shop(Path(scratch)).group
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(together(asked) if "together" in asked else serve(asked)), flush=True)
