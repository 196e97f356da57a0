"""The versions of a model in a line each, and moves of its champion by a person."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from getpass import getuser
from typing import TYPE_CHECKING, Any

from ml_assets.registry.aliases import names
from ml_assets.registry.book import Book
from ml_assets.registry.facts import on_holdout
from ml_assets.registry.promotion import ChampionMoved, approve, override, promote_version
from ml_assets.registry.rollback import rollback

if TYPE_CHECKING:
    from ml_assets.lake import Lake
    from ml_assets.project.model import DeclaredModel
    from ml_assets.registry.mlflow_registry import Version
    from ml_assets.registry.rollback import RolledBack

SMOKE_ROWS = 5
"""How many rows a version has to score before the champion moves back to it."""
MAIN_METRICS = ("auc", "r2", "skill")
"""The main metric of each kind of target; an evaluation has one of them."""


@dataclass(frozen=True)
class VersionLine:
    """What a list of versions says about one; None where nothing is on record."""

    model: str
    version: int
    cutoff: str | None
    aliases: list[str]
    metric: str | None
    value: float | None
    """Of the metric, on the holdout of the version's own cutoff."""
    passed: bool | None
    """Whether it passed its gates."""
    overridden_by: str | None
    """Who made it champion against its evidence."""
    rolled_back: bool
    registered: datetime | None
    git_commit: str | None
    git_dirty: bool

    @property
    def decision(self) -> str | None:
        """Passed or refused, and what was done about it."""
        word = None if self.passed is None else "passed" if self.passed else "refused"
        if self.overridden_by:
            word = f"{word or '-'}, overridden by {self.overridden_by}"
        return f"{word or '-'}, rolled back" if self.rolled_back else word


def version_lines(book: Book) -> list[VersionLine]:
    """The registered versions of a model, oldest first."""
    log = book.log()
    named = names(book, log)
    verdicts = {verdict.version: verdict.passed for verdict in book.verdicts()}
    leant_on = {
        move.to_version: bool(move.evidence["passed"])
        for move in log.moves
        if move.evidence and "passed" in move.evidence
    }
    overridden = {move.to_version: move.who for move in log.moves if move.action == "override"}
    versions = sorted(book.registry.versions(book.model), key=lambda v: v.number)
    metrics = _main_metrics(book, versions)
    found = []
    for version in versions:
        number = version.number
        metric, value = metrics.get(number, (None, None))
        found.append(
            VersionLine(
                model=book.model,
                version=number,
                cutoff=version.tags.get("cutoff"),
                aliases=sorted(name for name, at in named.items() if at == number),
                metric=metric,
                value=value,
                passed=verdicts.get(number, leant_on.get(number)),
                overridden_by=overridden.get(number),
                rolled_back=number in log.withdrawn,
                registered=version.created,
                git_commit=version.tags.get("git_commit"),
                git_dirty=version.tags.get("git_dirty") == "true",
            )
        )
    return found


def _main_metrics(book: Book, versions: "Sequence[Version]") -> dict[int, tuple[str, float]]:
    """Version -> the main metric of its newest evaluation and its value."""
    table = book.tables.evaluation
    rows = (
        table.read(book.con).filter("role = 'candidate'").to_arrow_table().to_pylist() if table.exists else []
    )
    measured: dict[int, Mapping[str, Any]] = {row["model_version"]: row for row in rows}
    found = {}
    for version in versions:
        row = measured.get(version.number) or on_holdout(book.registry.metrics(version))
        name = next((name for name in MAIN_METRICS if row.get(name) is not None), None)
        if name:
            found[version.number] = name, row[name]
    return found


def approved(book: Book, why: str, version: int | None) -> ChampionMoved:
    """Promote a version that passed and waits (the challenger), by the user."""
    return approve(book, who=getuser(), reason=why, version=version)


def promoted(book: Book, why: str, version: int, who: str | None, *, against_evidence: bool) -> ChampionMoved:
    """Promote one version by its evidence, or against it; by the user, or by whom is named."""
    act = override if against_evidence else promote_version
    return act(book, who=who or getuser(), reason=why, version=version)


def rolled_back(book: Book, why: str, to: int | None, smoke: "Callable[[Version], str]") -> "RolledBack":
    """Move the champion back, once the target has made predictions."""
    return rollback(book, who=getuser(), reason=why, smoke=smoke, to=to)


def smoke_prediction(model: "DeclaredModel", lake: "Lake", book: Book, version: "Version") -> str:
    """Load a version, score the first rows of the newest population with it, and say what came out."""
    import numpy as np

    from ml_assets.pipeline.run import CannotRun, Run
    from ml_assets.pipeline.scorer import Scorer
    from ml_assets.registry.mlflow_registry import RegistryError
    from ml_assets.training.frames import usable_rows

    table = model.group.snapshot(lake)
    ((newest,),) = table.read(book.con, columns=["as_of"]).aggregate("max(as_of)").fetchall()
    population = model.spec.population
    if newest is None:
        raise RegistryError(f"{table.name} has no rows to score")
    between = (newest, newest)
    scorer = Scorer.of(model, book.registry, version)
    snapshot = scorer.reads(book.con, Run("smoke prediction"), lake, between)
    try:
        scorer.definitions(snapshot, between)
    except CannotRun as error:
        raise RegistryError(str(error)) from error
    members = snapshot.members(between, entity=model.entity, where=population)
    usable, _ = usable_rows(members, scorer.predictor.task.columns, entity=list(model.entity))
    frame = usable.head(SMOKE_ROWS)
    if frame.empty:
        raise RegistryError(
            f"nobody meets {population} in {table.name} of {newest}, so there is nothing to score"
        )
    try:
        scores = scorer.score(scorer.checked(frame)).expected
    except CannotRun as error:
        raise RegistryError(str(error)) from error
    if scores.shape != (len(frame),) or not np.isfinite(scores).all():
        raise RegistryError(
            f"of {len(frame)} rows of {newest}, {int(np.isfinite(scores).sum())} have a finite score"
        )
    listed = ", ".join(f"{value:.4g}" for value in scores)
    return f"version {version.number} scores {len(frame)} rows of {newest}: {listed}"


def show_in_ui(model: "DeclaredModel", lake: "Lake", book: Book) -> None:
    """Tell the Dagster instance of the promotion log as it is now."""
    from ml_assets.components.model.promotions import materialization
    from ml_assets.operations.opened import instance

    with instance() as running:
        running.report_runless_asset_event(materialization(model, lake, book.log().moves))
