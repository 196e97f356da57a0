"""A scratch copy of the project, to do things to that nobody should do to the real one.

A scratch is a project's root of its own: landing files, lake, MLflow and Dagster instance. Its ``base`` is
the project materialized from the landing files of the days before a date; that is made once and copied.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg

from ml_assets.definitions import build
from ml_assets.instance import home
from ml_assets.instance.channels import CHANNELS
from ml_assets.instance.refusal import Refusal
from ml_assets.lake import Lake
from ml_assets.landing import Landing, Piece, by_day
from ml_assets.operations.materialize import materialize
from ml_assets.project.project import Project
from ml_assets.registry.mlflow_registry import Registry

CUTOFFS = 1
"""How many of the newest cutoffs a base trains: the champion's."""
WHOLE = "scratch.json"
"""The file in the root of a scratch that says it is one, and whole."""
INSTANCE = """\
telemetry: {enabled: false}
event_log_storage: {module: ml_assets.instance.event_log, class: SqliteEventLog}
compute_logs: {module: ml_assets.instance.compute_logs, class: ComputeLogs}
"""
"""The instance of a scratch: SQLite in its own folder, whatever the project's own dagster.yaml says."""
CODE = home.CHECKOUT / "ml_assets"
NOT_IN_A_BASE = (
    "cli/",
    "monitoring/rehearse/",
    "operations/scratch",
    "operations/fast_forward",
    "operations/drill",
)
"""Beginnings of paths in this package whose code makes no table of a base."""


@dataclass(frozen=True)
class Scratch:
    """A scratch project in ``root``, of the definitions of ``module``."""

    root: Path
    module: str

    @property
    def lake(self) -> Lake:
        """Its lake."""
        return Lake(str(self.root / "data" / "lake"))

    @property
    def registry(self) -> Registry:
        """Its model registry."""
        return Registry.below(self.root / "data")

    def staged(self, source: str) -> Path:
        """Where its landing files of a source are."""
        return self.root / "data" / "landing" / source

    @contextmanager
    def opened(self) -> Iterator[tuple[dg.Definitions, dg.DagsterInstance]]:
        """Its definitions and instance. Meanwhile the environment of this process is that of the scratch.

        The real project's lake and landing files can't be reached from inside, nor can a person be told.
        """
        own = {
            "ML_ASSETS_HOME": str(self.root),
            "DAGSTER_HOME": str(self.root / ".dagster"),
            home.STAGED: str(self.root / "data" / "landing"),
            "ML_ASSETS_LAKE": None,
            **dict.fromkeys(CHANNELS),
        }
        with _environment(own):
            home.prepare_dagster_home()
            with dg.DagsterInstance.get() as instance:
                yield build(self.module), instance


@contextmanager
def _environment(own: Mapping[str, str | None]) -> Iterator[None]:
    """Other environment variables while the body runs; None for one that isn't set."""
    before = {name: os.environ.get(name) for name in own}

    def put(values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    put(own)
    try:
        yield
    finally:
        put(before)


def fetch_into(landing: Landing, piece: Piece, folder: Path) -> Path:
    """Copy a landing file into the folder of a scratch; the producer's stays as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".staged-") as partial:
        fetched = landing.fetch(piece, Path(partial)).path
        if fetched.parent != Path(partial):
            fetched = Path(shutil.copy2(fetched, Path(partial) / piece.name))
        return fetched.replace(folder / piece.name)


def base_of(project: Project, until: date, drills: Path) -> Scratch:
    """The project materialized from the files of the days before ``until``, below the folder ``drills``.

    It is made unless there is one of the same definitions, code and landing files; then older ones of the
    same date are removed. Raises Refusal if it can't be materialized.
    """
    files = {
        name: {day: item for day, item in by_day(source.landing.listed()).items() if day < until}
        for name, source in project.sources.items()
    }
    found = Scratch(drills / f"base-{until}-{_digest(project, files)}", project.module)
    if (found.root / WHOLE).exists():
        return found
    for old in drills.glob(f"base-{until}-*"):
        shutil.rmtree(old)
    for name, source in project.sources.items():
        for item in files[name].values():
            fetch_into(source.landing, item, found.staged(name))
    _materialize(found)
    (found.root / WHOLE).write_text(json.dumps({"until": str(until), "module": project.module}))
    return found


def _materialize(scratch: Scratch) -> None:
    (scratch.root / "dagster.yaml").write_text(INSTANCE)
    with scratch.opened() as (defs, instance):
        scratch.registry.prepare()
        done = materialize(
            Project.of(scratch.module),
            defs,
            instance,
            scratch.lake,
            scratch.registry,
            cutoffs=CUTOFFS,
        )
    failed = [phase.phase.title for phase in done if phase.is_failure]
    if failed:
        raise Refusal(
            f"the project can't be materialized without an incident: {', '.join(failed)} failed, as told above; "
            "mend that first"
        )


def copy_of(base: Scratch, root: Path) -> Scratch:
    """A copy of a scratch in ``root``, which must not exist, be empty, or be an older copy.

    What is never changed in place is linked where that can be: rows of the lake. Raises Refusal for a
    folder that is something else.
    """
    if root.exists() and any(root.iterdir()):
        if not (root / WHOLE).exists():
            raise Refusal(f"{root} is no scratch project and not empty; name another folder")
        shutil.rmtree(root)
    shutil.copytree(base.root, root, copy_function=_link_rows, dirs_exist_ok=True)
    copied = Scratch(root, base.module)
    copied.registry.come_home()
    return copied


@contextmanager
def alone(drills: Path) -> Iterator[None]:
    """One process at a time makes and copies bases."""
    drills.mkdir(parents=True, exist_ok=True)
    with (drills / "base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _link_rows(source: str, target: str) -> str:
    if source.endswith(".parquet"):
        try:
            os.link(source, target)
        except OSError:
            return str(shutil.copy2(source, target))
        return target
    return str(shutil.copy2(source, target))


def _digest(project: Project, files: Mapping[str, Mapping[date, Piece]]) -> str:
    """What a base follows from: landing files, definitions, and the code that makes tables of them."""
    prints = [(name, i.name, i.fingerprint) for name, pieces in files.items() for i in pieces.values()]
    digest = hashlib.sha256(json.dumps([CUTOFFS, prints]).encode())
    for folder in (project.folder, CODE):
        for path in sorted(p for p in folder.rglob("*") if p.suffix in (".py", ".yaml")):
            name = path.relative_to(folder).as_posix()
            if not name.startswith(NOT_IN_A_BASE):
                digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]
