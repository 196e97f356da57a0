"""What the assets ``labels`` and ``training_set`` do: what came of each cutoff, and what a candidate may learn from."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb

from ml_assets.instance.progress import counted
from ml_assets.lake import Between, Lake, as_ranges, confined, seal
from ml_assets.landing.raw import landed_through
from ml_assets.pipeline.definitions import check_made_by, of_features, of_labels, of_training
from ml_assets.pipeline.run import Run
from ml_assets.project.model import DeclaredModel
from ml_assets.registry.pins import LABEL
from ml_assets.training.labels import Maturity, build_labels, maturity
from ml_assets.training.spec import split_as_ofs
from ml_assets.training.training_set import TrainingSet, build_training_set


@dataclass(frozen=True)
class Labelled:
    """What became of the cutoffs of a range."""

    cutoffs: Sequence[date]
    """Those that were built, or wait for their horizon."""
    refused: Mapping[date, str]
    """Those whose horizon has withheld days, with the reasons."""
    maturity: Maturity


def label_cutoffs(
    con: duckdb.DuckDBPyConnection, run: Run, model: DeclaredModel, lake: Lake, between: Between
) -> Labelled:
    """Write the labels of the cutoffs ``between`` whose whole horizon has landed, and of which no day is withheld."""
    source, spec = model.source, model.spec
    snapshot, events, table = (
        model.group.snapshot(lake),
        source.tables(lake).events,
        model.tables(lake).labels,
    )
    table.retype(con, model.schemas["labels"].types, run.made(), {"label": LABEL})
    made = run.made(snapshot, events).following(of_labels(model))
    cutoffs = model.cutoffs.between(*between)
    held = source.refused(con, lake, between, (0, spec.label.days - 1))
    refused = {day: why for day, why in held.items() if day in cutoffs}
    built = [cutoff for cutoff in cutoffs if cutoff not in refused]
    state = maturity(built, spec.label, landed_through(con, source.tables(lake).files))
    for start, end in as_ranges(set(built), model.cutoffs.step):
        with confined() as apart:
            members = snapshot.read(apart, between=(start, end))
            happened = events.read(apart, between=(start, end + timedelta(days=spec.label.days - 1)))
            seal(apart)
            build_labels(
                apart,
                members,
                happened,
                [cutoff for cutoff in state.mature if start <= cutoff <= end],
                entity=model.entity,
                population=spec.population,
                label=spec.label,
            ).create("new_labels")
            table.update(con, apart.table("new_labels"), between=(start, end), provenance=made)
    if state.message:
        run.log.warning(state.message)
    return Labelled(built, refused, state)


@dataclass(frozen=True)
class Gathered:
    """The training set of one cutoff, and how long it took."""

    cutoff: date
    training_set: TrainingSet
    seconds: float

    def summary(self) -> dict[str, object]:
        """What it holds, for a person, and the seconds it took."""
        return {**self.training_set.summary(), "seconds": self.seconds}


def gather_training_sets(
    con: duckdb.DuckDBPyConnection, run: Run, model: DeclaredModel, lake: Lake, between: Between
) -> list[Gathered]:
    """Write the training sets of the cutoffs ``between``, in one commit.

    Raises CannotRun where labels or snapshots that they read were made by another definition than is declared.
    """
    tables, snapshot = model.tables(lake), model.group.snapshot(lake)
    learnt = model.spec.label, model.spec.cutoffs, model.spec.train
    read = [snapshot, tables.labels]
    if model.spec.train.after_each:
        read += [model.group.tiles(lake), *model.group.events(lake).values()]
    cutoffs = model.cutoffs.between(*between)
    read_at = {day for cutoff in cutoffs for days in split_as_ofs(cutoff, *learnt) for day in days}
    check_made_by(of_labels(model), tables.labels, read_at)
    check_made_by(of_features(model), snapshot, read_at)
    made = run.made(*read).following(of_training(model))
    gathered = []
    for cutoff in counted(cutoffs, "cutoffs"):
        started = time.perf_counter()
        built = build_training_set(con, snapshot, tables.labels, cutoff, **model.training_set_of(lake))
        gathered.append(Gathered(cutoff, built, round(time.perf_counter() - started, 2)))
    rows = gathered[0].training_set.rows
    for more in gathered[1:]:
        rows = rows.union(more.training_set.rows)
    tables.training_set.retype(con, model.schemas["training_set"].types, run.made(), {"label": LABEL})
    tables.training_set.replace(rows, between=between, provenance=made)
    return gathered
