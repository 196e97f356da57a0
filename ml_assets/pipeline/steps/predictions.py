"""What the asset ``predictions`` does: the champion's score of every member of the population at each as_of."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import duckdb

from ml_assets.lake import Between, Lake, Table, days
from ml_assets.pipeline.run import CannotRun, Run
from ml_assets.pipeline.scorer import Scorer
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.in_use import ways_out
from ml_assets.registry.mlflow_registry import RegistryError
from ml_assets.registry.promotion_log import read_log
from ml_assets.serving.batch import prediction_rows

if TYPE_CHECKING:
    from ml_assets.registry.mlflow_registry import Registry

POPULATION = "population"
"""The fact of a commit that says, by its hash, of which population its days are."""


@dataclass(frozen=True)
class Predicted:
    """What was scored."""

    version: int
    rows: int
    mean: float | None
    refused: tuple[str, ...]
    """In words, the members that no estimator can take."""


def scored_populations(table: Table, version: int) -> dict[date, str | None]:
    """The hash of the population that a version scored on each day; None where that isn't on record."""
    found: dict[date, str | None] = {}
    for commit in reversed(table.history()):
        if commit.between and commit.says({"model_version": str(version)}):
            scored = set(days(*commit.between)) - commit.left
            found |= dict.fromkeys(scored, commit.provenance.facts.get(POPULATION))
    return found


def predict(
    con: duckdb.DuckDBPyConnection,
    run: Run,
    model: DeclaredModel,
    lake: Lake,
    registry: "Registry",
    between: Between,
) -> Predicted:
    """Score the snapshots ``between`` with the champion, beside the scores of others.

    A member with a number that no estimator can take is refused alone, and told.
    Raises CannotRun without a champion, with the ways out where it can't be used, and where it was trained on other
    features than the snapshots have.
    """
    from ml_assets.training.frames import usable_rows

    table = model.tables(lake).predictions
    log = read_log(con, model.tables(lake).promotions, model.name)
    if log.champion is None:
        raise CannotRun(
            f"{model.name} has no champion, so there is nothing to predict with. Materialize {model.name}/champion."
        )
    try:
        champion = registry.version(model.name, log.champion)
        scorer = Scorer.of(model, registry, champion)
    except RegistryError as error:
        raise CannotRun(f"{error} {ways_out(registry, log)}") from error
    snapshot = scorer.reads(con, run, lake, between)
    followed = scorer.definitions(snapshot, between)
    facts = {"model_version": str(champion.number), POPULATION: model.population_definition}
    made = run.made(*snapshot.tables, **facts).following(followed)
    members = snapshot.members(between, entity=model.entity, where=model.spec.population)
    frame, refused = usable_rows(members, scorer.predictor.task.columns, entity=model.entity)
    for said in refused:
        run.log.error(said)
    predicted = prediction_rows(
        con,
        frame,
        scorer.score(scorer.checked(frame)),
        model=model.name,
        version=champion.number,
        cutoff=champion.cutoff,
        entity=model.group.features.entity_types,
    )
    table.replace(predicted, between=between, also=f"model_version = {champion.number}", provenance=made)
    ((n, mean),) = predicted.aggregate("count(*), avg(score)").fetchall()
    if n == 0:
        run.log.warning(f"the population ({model.spec.population}) is empty: nothing was scored")
    return Predicted(champion.number, n, mean, refused)
