"""The kinds of tests: what each proves, and how one is told from the others. The first that fits is a test's kind."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import pytest

HOMES = {"empty_home", "landed_home", "finished_home", "House", "opened"}
"""Fixtures, or names in its module, of a test that opens a project with a Dagster instance."""


@dataclass(frozen=True)
class Kind:
    """One kind; ``fits`` is asked with the test's path in this package, its marks, and the names it can use."""

    name: str
    proves: str
    where: str
    fits: Callable[[str, Collection[str], Collection[str]], bool]


KINDS = (
    Kind(
        "the whole project",
        "From landing files to a champion by the command line, in the browser, with the daemon alone, and for another "
        "use case that is YAML alone",
        "`end_to_end/`",
        lambda path, marks, _: "end_to_end" in marks,
    ),
    Kind(
        "drills",
        "Each incident, landed day by day on a finished project, ends in what is expected of the sensors and in nothing "
        "else",
        "`monitoring/rehearse/drills/`, `operations/test_drill.py`",
        lambda path, marks, _: (
            path in ("monitoring/rehearse/drills/test_default_project.py", "operations/test_drill.py")
        ),
    ),
    Kind(
        "faults",
        "Killed anywhere, several at once, disk full, files damaged: nothing half-written shows, nothing is lost, the "
        "rerun is right",
        "`faults/`, `*/test_processes.py`, `operations/test_kill.py`",
        lambda path, marks, _: (
            path.startswith("faults/") or path.endswith(("test_processes.py", "test_kill.py"))
        ),
    ),
    Kind(
        "simulations",
        "What gates and drift decide in worlds whose truth is known: errors as rare as promised",
        "`*/test_simulations.py`, `*/test_simulate.py`",
        lambda path, marks, _: path.endswith(("test_simulations.py", "test_simulate.py")),
    ),
    Kind(
        "properties",
        "What holds for all inputs, on drawn ones, mostly against a plain second way to compute it",
        "beside the rest: `@given` and `@examples`",
        lambda path, marks, _: "hypothesis" in marks,
    ),
    Kind(
        "houses",
        "A small project on a Dagster instance: assets, checks, sensors and commands together",
        "`components/`, `operations/`, `cli/`: those with a `House`",
        lambda path, marks, names: bool(HOMES.intersection(names)),
    ),
    Kind(
        "rooms",
        "What one function or class does, and what it says when it can't",
        "everywhere",
        lambda *_: True,
    ),
)


def kind_of(item: pytest.Item) -> str:
    """The name of a collected test's kind."""
    path = item.path.relative_to(item.config.rootpath / "ml_assets_tests").as_posix()
    marks = {mark.name for mark in item.iter_markers()}
    names = {*getattr(item, "fixturenames", ()), *vars(getattr(item, "module", None) or object)}
    return next(k.name for k in KINDS if k.fits(path, marks, names))
