"""Killed with SIGKILL at any point from landing to snapshots: nothing is half there or lost, the rerun is right."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from random import Random
from shutil import copytree, rmtree
from typing import Any

import pytest

from ml_assets_tests.faults.shop import DECLARED, STAGES, Shop
from ml_assets_tests.faults.workers import NUMBER, Worker

pytestmark = [pytest.mark.proof, pytest.mark.timeout(400)]
SEED = 20240227
WRITING, BETWEEN, FILES, SECONDS = 2, 1, 6, 5
"""Points within each write of a table (and one at its end), between two writes, by the number of files, and by the clock."""
LONG = 100
"""Steps between two writes that are worth a point."""

Contents = dict[tuple[str, str], str]
Request = dict[str, Any]


def nothing_yet(shop: Shop) -> None:
    """The first build of a lake: two good files, a bad row and late rows in them, and a file that is refused."""
    for number in range(2):
        shop.drop(number)
    shop.drop_unsound(2)


def corrected(shop: Shop) -> None:
    """A lake of three days, one of which is corrected and one taken away; a new day, and a file that is refused."""
    for number in range(3):
        shop.drop(number)
    shop.settle()
    shop.drop(1, version=2)
    shop.path(0).unlink()
    shop.drop(3)
    shop.drop_unsound(4)


@dataclass(frozen=True)
class Scene:
    """A shop with work to do, and what its tables hold before and after it."""

    folder: Path
    before: Contents
    after: Contents
    points: list[Request]


def scene(made: Path, prepare: Callable[[Shop], None], worker: Worker, chance: Random) -> Scene:
    """Prepare a shop, do its work undisturbed, and choose the points at which to kill that work.

    It takes the same number of steps again in any folder whose name is as long as ``undisturbed``.
    """
    template, undisturbed = Shop(made / "template"), Shop(made / "undisturbed")
    prepare(template)
    copytree(template.folder, undisturbed.folder, ignore=DECLARED)
    whole = worker.ask(undisturbed.folder)
    assert whole["exit"] == 0, whole
    assert undisturbed.settle() == 0, "one pass does all there is to do"
    before, after = template.contents(), undisturbed.contents()
    first, points = 1, []
    for at, last in json.loads((undisturbed.folder / "steps.json").read_text()):
        wanted = WRITING if at in STAGES else BETWEEN if last - first > LONG else 0
        points += [{"step": step} for step in spread(chance, first, last, wanted)]
        points += [{"step": last}] * (at in STAGES)
        first = last + 1
    points += [{"files": number} for number in spread(chance, 1, whole["files"] - 1, FILES)]
    points += [{"seconds": chance.uniform(0, whole["seconds"])} for _ in range(SECONDS)]
    return Scene(template.folder, before, after, list(points))


def spread(chance: Random, first: int, last: int, number: int) -> list[int]:
    """As many numbers from first to last, one anywhere in each of as many equal parts."""
    length = (last - first) / max(number, 1)
    return [round(first + length * (n + chance.random())) for n in range(number)]


@dataclass(frozen=True)
class Outcome:
    """What a kill left: the state of every table, ``before``, ``after`` or a fault; and what the rerun made."""

    point: Request
    killed: bool
    at: str
    states: dict[str, str]
    faults: list[str]


def by_table(contents: Contents) -> dict[str, Contents]:
    return {stage: {key: v for key, v in contents.items() if key[0] == stage} for stage in STAGES}


def try_point(scene: Scene, point: Request, folder: Path, free: "Queue[Worker]") -> Outcome:
    """Kill the work of a copy of the shop at a point, look at what is left, and do the work again."""
    copytree(scene.folder, folder, ignore=DECLARED)
    worker, shop, faults = free.get(), Shop(folder), []
    try:
        answer = worker.ask(folder, **point)
    finally:
        free.put(worker)
    if answer["exit"]:
        faults.append("the work failed before it was killed")
    shop.check_whole()
    left = shop.contents()
    states = {}
    before, now, after = by_table(scene.before), by_table(left), by_table(scene.after)
    for stage in STAGES:
        states[stage] = {True: "before", False: "neither"}[now[stage] == before[stage]]
        if now[stage] == after[stage] != before[stage]:
            states[stage] = "after"
        if states[stage] == "neither":
            faults.append(f"{stage} is neither as before nor as after")
    lost = [key for key in scene.before if key[0] in ("raw", "refused_files", "files") and key not in left]
    faults += [f"{key} is lost" for key in lost]
    shop.built.work()
    if shop.contents() != scene.after:
        faults.append("the rerun made something else")
    rmtree(folder)
    return Outcome(point, answer["killed"], answer["at"], states, faults)


def report(title: str, outcomes: list[Outcome]) -> str:
    """The points by what was being done, as a Markdown table."""
    lines = [
        f"{title}: {len(outcomes)} points, {sum(o.killed for o in outcomes)} of them killed",
        "",
        "| killed during | points | table as before | table as after | half-written | lost | rerun right |",
        "|---|---|---|---|---|---|---|",
    ]
    places = [*STAGES, *sorted({o.at for o in outcomes if o.killed} - set(STAGES))]
    for place in places:
        here = [o for o in outcomes if o.killed and o.at == place]
        if here:
            state = Counter(o.states.get(place, "-") for o in here)
            own = (
                (f"write of {place}", state["before"], state["after"])
                if place in STAGES
                else (place, "-", "-")
            )
            neither = sum("neither" in o.states.values() for o in here)
            lost = sum(any("lost" in fault for fault in o.faults) for o in here)
            right = sum(not o.faults for o in here)
            cells = (own[0], len(here), *own[1:], neither, lost, f"{right} of {len(here)}")
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


@pytest.mark.parametrize("prepare", [nothing_yet, corrected])
def test_killed_at_any_point_nothing_is_half_there_and_the_rerun_is_right(
    prepare: Callable[[Shop], None],
    tmp_path: Path,
    workers: "Queue[Worker]",
    capsys: pytest.CaptureFixture[str],
) -> None:
    worker = workers.get()
    tried = scene(tmp_path, prepare, worker, Random(f"{SEED} {prepare.__name__}"))
    workers.put(worker)
    with ThreadPoolExecutor(NUMBER) as pool:
        outcomes = list(
            pool.map(
                lambda numbered: try_point(
                    tried, numbered[1], tmp_path / f"{numbered[0]:0{len('undisturbed')}}", workers
                ),
                enumerate(tried.points),
            )
        )
    with capsys.disabled():
        print("\n" + report(prepare.__name__.replace("_", " "), outcomes))
    assert {(str(o.point), fault) for o in outcomes for fault in o.faults} == set()
    killed = [outcome for outcome in outcomes if outcome.killed]
    assert len(killed) >= 30
    written = {stage for stage in STAGES if by_table(tried.before)[stage] != by_table(tried.after)[stage]}
    for stage in written:
        states = {o.states[stage] for o in killed}
        assert states == {"before", "after"}, (
            f"no kill found {stage} {'before' if 'after' in states else 'after'}"
        )
    assert {o.at for o in killed} >= written
