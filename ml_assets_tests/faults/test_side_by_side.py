"""Several processes at once: on days of their own, on the same days, on two versions of a file."""

import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ml_assets.lake import Provenance, Table, connect
from ml_assets.landing.raw import land
from ml_assets.landing.withholding import withheld
from ml_assets_tests.faults.shop import Shop, day
from ml_assets_tests.faults.workers import Worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]
SEED = 7


def undisturbed(folder: Path, landing: Shop) -> dict[tuple[str, str], str]:
    """What one process makes of the same landing files."""
    alone = Shop(folder / "alone", landing.number)
    for path in sorted((landing.folder / "landing").iterdir()):
        alone.path(0).parent.mkdir(parents=True, exist_ok=True)
        (alone.folder / "landing" / path.name).write_bytes(path.read_bytes())
    alone.settle()
    return alone.contents()


def place(shop: Shop, first: int, last: int, after: float = 0) -> dict[str, object]:
    """A process to start: its shop, its days, and how long it waits."""
    told = {"folder": shop.folder, "number": shop.number, "landing_name": shop.landing_name}
    return {"shop": told, "first": day(first), "last": day(last), "after": after}


def check_log(shop: Shop) -> None:
    """Every accepted version is in raw with as many rows as are on record, each once; and raw has no others.

    It is on record once for each time it came: again only where another came in between, never right after itself.
    """
    with connect() as con:
        logged = shop.tables.files.read(con).filter("status = 'accepted' AND rows > 0")
        lines = logged.order("landing_date, sequence").select("landing_date, content_hash, rows").fetchall()
        held = shop.tables.raw.read(con).aggregate(
            "landing_date, content_hash, count(DISTINCT row_number), count(*)"
        )
        found = held.fetchall()
    assert all(one != other for one, other in pairwise(lines)), "no version is logged again after itself"
    assert {(on, digest, rows) for on, digest, rows, _ in found} == set(lines)
    assert all(rows == distinct for _, _, distinct, rows in found)


def test_eight_processes_on_days_of_their_own_lose_nothing(
    tmp_path: Path, worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    processes, own = 8, 2
    shop = Shop(tmp_path / "shop", processes * own)
    for number in range(shop.number):
        shop.drop(number)
    done = worker.together([place(shop, n * own, n * own + own - 1) for n in range(processes)])
    assert done["exit"] == [0] * processes, done["errors"]
    shop.check_whole()
    check_log(shop)
    runs = {name: [c for c in table.history() if c.between] for name, table in shop.stages.items()}
    counted = {
        name: len(runs[name]) for name in ("raw", "files", "quarantine", "events", "tiles", "snapshot")
    }
    assert counted == dict.fromkeys(counted, processes), "every process's commit of every table is there"
    expected = undisturbed(tmp_path, shop)
    at_once = shop.contents()
    for table in ("raw", "files"):
        mine, theirs = ({k: v for k, v in c.items() if k[0] == table} for c in (at_once, expected))
        assert mine == theirs, "nothing that has landed is lost, before any rerun"
    asked = shop.settle()
    assert shop.contents() == expected
    with capsys.disabled():
        commits = sum(counted.values())
        print(
            f"\n{processes} processes x {own} days of their own: {commits} commits to {len(counted)} tables, "
            f"{done['conflicts']} tried again after a conflict, 0 failed; right after {asked} rounds of the sensors"
        )


def test_processes_on_the_same_days_leave_what_one_would(
    tmp_path: Path, worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    processes, number = 4, 3
    shop = Shop(tmp_path / "shop", number)
    for n in range(number):
        shop.drop(n)
    done = worker.together([place(shop, 0, number - 1) for _ in range(processes)])
    assert done["exit"] == [0] * processes, done["errors"]
    shop.check_whole()
    check_log(shop)
    expected = undisturbed(tmp_path, shop)
    now = shop.contents()
    assert {k: v for k, v in now.items() if k[0] == "raw"} == {
        k: v for k, v in expected.items() if k[0] == "raw"
    }
    asked = shop.settle()
    assert shop.contents() == expected
    with capsys.disabled():
        print(
            f"\n{processes} processes on the same {number} days: {done['conflicts']} commits tried again after a "
            f"conflict, 0 failed; right after {asked} rounds of the sensors"
        )


@pytest.mark.parametrize("seed", range(4))
def test_two_versions_of_a_file_landing_at_once(tmp_path: Path, worker: Worker, seed: int) -> None:
    """One process still sees the file as it was, the other as it is; what is there in the end counts."""
    chance = Random(f"{SEED} {seed}")
    new = Shop(tmp_path / "shop", 3)
    old = Shop(tmp_path / "shop", 3, landing_name="landing_before")
    for number in range(3):
        old.drop(number)
        new.drop(number, version=2 if number == 1 else 1)
    if seed % 2:
        old.settle()
    places = [place(shop, 0, 2, chance.uniform(0, 0.2)) for shop in (old, new)]
    done = worker.together(places)
    assert done["exit"] == [0, 0], done["errors"]
    new.check_whole()
    check_log(new)
    versions = {part for stage, part in new.contents() if stage == "raw" and part.startswith(str(day(1)))}
    assert len(versions) == 2, "both versions are kept"
    new.settle()
    expected, found = undisturbed(tmp_path, new), new.contents()
    for stage in ("events", "quarantine", "tiles", "snapshot", "withheld"):
        mine, theirs = ({k: v for k, v in c.items() if k[0] == stage} for c in (found, expected))
        assert mine == theirs, stage


class Halted:
    """A thread that stops where it is about to write a table, until it is told to go on."""

    def __init__(self, does: Callable[[], None], before: str) -> None:
        self.before, self.halted, self.go = before, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=does)

    def start(self) -> None:
        self.thread.start()
        assert self.halted.wait(10)

    def finish(self) -> None:
        self.go.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def halts(monkeypatch: pytest.MonkeyPatch) -> list[Halted]:
    """Threads that are to halt: between having compared a table's rows with what is there and writing them."""
    listed: list[Halted] = []
    overwrite = Table._overwrite

    def halting(self: Table, *args: Any, **how: Any) -> int:
        for halted in listed:
            if threading.current_thread() is halted.thread and self.name.endswith(halted.before):
                halted.halted.set()
                assert halted.go.wait(10)
        return overwrite(self, *args, **how)

    monkeypatch.setattr(Table, "_overwrite", halting)
    return listed


@pytest.mark.parametrize(
    ("slow", "fast", "refused"),
    [
        ("quarantine", "quarantine", 3),
        ("quarantine", "events", 3),
        ("events", "events", 3),
        ("quarantine", "events", 25),
        ("withheld", "events", 25),
        ("events", "quarantine", 25),
    ],
)
def test_a_build_of_what_was_there_before_is_found_out(
    tmp_path: Path, halts: list[Halted], slow: str, fast: str, refused: int
) -> None:
    """A day is mended while a build of its bad version is under way, and a build of the good one overtakes it."""
    shop = Shop(tmp_path, 1)
    days = (day(0), day(0))
    shop.drop(0, late=0)
    shop.settle()
    expected = shop.contents()
    shop.drop(0, late=0, version=2, refused=refused)
    with connect() as con:
        land(con, shop.tables, shop.source.landing, shop.source.contract, days, Provenance())
    halts += [Halted(lambda: shop.built.run_events(days), where) for where in (slow, fast)]
    before, overtaking = halts
    before.start()
    shop.drop(0, late=0)
    with connect() as con:
        land(con, shop.tables, shop.source.landing, shop.source.contract, days, Provenance())
    overtaking.start()
    before.finish()
    overtaking.finish()
    shop.settle()
    found = shop.contents()
    for stage in ("quarantine", "withheld", "events", "tiles", "snapshot"):
        assert [found.get(k) for k in expected if k[0] == stage] == [
            expected[k] for k in expected if k[0] == stage
        ], stage
    with connect() as con:
        assert withheld(con, shop.tables) == {}
