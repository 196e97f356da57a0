"""The project as the environment names it: what is declared, its lake, its registry, its Dagster instance."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from ml_assets.instance import home, progress

if TYPE_CHECKING:
    import dagster as dg

    from ml_assets.lake import Lake
    from ml_assets.project.project import Project
    from ml_assets.registry.mlflow_registry import Registry


def project() -> "Project":
    """The project that ``ML_ASSETS_DEFS`` names, by default the one in the repository."""
    from ml_assets.project.project import Project

    return Project.current()


def checked_project() -> "Project":
    """The project, all of it bound. Raises DeclarationError or ContractError, with the line, where one is wrong."""
    declared = project()
    declared.check()
    return declared


def definitions() -> "dg.Definitions":
    """Its Dagster definitions. Raises as ``checked_project``."""
    checked_project()
    from ml_assets.definitions import defs

    return defs


def lake() -> "Lake":
    """The lake that the assets write."""
    from ml_assets.lake import Lake

    return Lake(home.lake_root())


def registry() -> "Registry":
    """The registry of models below the project's data folder."""
    from ml_assets.registry.mlflow_registry import Registry

    return Registry.below(home.data())


@cache
def _say_once(line: str) -> None:
    progress.say(line)


@contextmanager
def instance() -> Iterator["dg.DagsterInstance"]:
    """The project's Dagster instance, made on first use. Runs whose process is gone are ended, and told.

    The DAGSTER_HOME of a shell may be another project's: it is not used, and that is told.
    """
    import dagster as dg

    from ml_assets.instance.daemon import end_abandoned
    from ml_assets.instance.databases import make_dagsters

    folder = home.prepare_dagster_home()
    if other := home.other_dagster_home():
        _say_once(
            f"note: DAGSTER_HOME={other} is not used, but the project's own: {folder} (see ML_ASSETS_HOME)"
        )
    make_dagsters(folder)
    with dg.DagsterInstance.from_config(str(folder)) as found:
        for said in end_abandoned(found):
            progress.say(f"note: {said}")
        yield found


def prepare() -> tuple[str, ...]:
    """Make the instance's and MLflow's databases, before processes use them side by side; mend what was left half done.

    Returns what was wrong with the lake's logs and MLflow's aliases, in words.
    """
    from ml_assets.lake.torn import mend
    from ml_assets.registry.aliases import repair

    with instance():
        pass
    registry().prepare()
    return (*mend(lake().root), *repair(lake(), registry()))
