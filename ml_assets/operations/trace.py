"""Where a prediction comes from: the version, the features as computed, the events behind them, the training data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb

from ml_assets.features.proofs.differences import Disparity, differences, values_of
from ml_assets.features.queries.definition import definition_query
from ml_assets.instance.refusal import Refusal
from ml_assets.lake import Lake, Table, confined, seal
from ml_assets.lake.definition import redefined
from ml_assets.lake.sql import text
from ml_assets.pipeline.kept import AsTrained, as_trained
from ml_assets.pipeline.scorer import Scorer
from ml_assets.project.model import DeclaredModel

if TYPE_CHECKING:
    from ml_assets.registry.mlflow_registry import Registry, Version


@dataclass(frozen=True)
class EventsBehind:
    """The events of the entity that were known at as_of, of one source."""

    source: str
    version: int
    known: int
    within: int
    """Of these, how many happened within the longest window."""
    newest: list[dict[str, Any]]
    """The newest, each with the landing file and row it came in."""


@dataclass(frozen=True)
class Trace:
    """Everything behind one prediction."""

    model: DeclaredModel
    prediction: Mapping[str, Any]
    """The row of the table of predictions."""
    version: "Version"
    score_again: float
    """What the version says of the features today."""
    snapshot_version: int
    features: Mapping[str, Any]
    features_hash: str
    """Of ``features``: as it was, if nothing has changed."""
    unlike_events: list[Disparity]
    """Where the features by definition, straight from the events, are others."""
    not_recomputed: list[str]
    """The features that are declared otherwise now than when they were computed, so that nothing is said of them."""
    events: list[EventsBehind]


def trace(
    con: duckdb.DuckDBPyConnection,
    models: Mapping[str, DeclaredModel],
    lake: Lake,
    registry: "Registry",
    prediction_id: str,
    shown: int = 10,
) -> Trace:
    """Follow a prediction back to its events, reading every table in the version that was read then.

    Raises Refusal where there is no such prediction, LakeError where a version is no longer kept.
    """
    model, prediction = _find(con, models, lake, prediction_id)
    tables, as_of = model.tables(lake), prediction["as_of"]
    number = int(prediction["model_version"])
    version = registry.version(model.name, number)
    made = tables.predictions.made(as_of, model_version=str(number))
    snapshot = model.group.snapshot(lake)
    at = made.inputs[snapshot.name]
    read = as_trained(model.group, lake, made.provenance.definitions)
    if read.kept is not None and read.kept.name not in made.inputs:
        read = AsTrained(snapshot)
    frame = read.members(
        (as_of, as_of), entity=model.entity, where=_is(model, prediction), versions=made.inputs
    )
    scorer = Scorer.of(model, registry, version)
    features = {column: frame[column].iloc[0] for column in scorer.columns}
    behind, unlike, otherwise = _events(con, model, lake, prediction, snapshot, at, shown)
    return Trace(
        model=model,
        prediction=prediction,
        version=version,
        score_again=float(scorer.score(scorer.checked(frame)).expected[0]),
        snapshot_version=at,
        features=features,
        features_hash=str(frame["features_hash"].iloc[0]),
        unlike_events=unlike,
        not_recomputed=otherwise,
        events=behind,
    )


def _find(
    con: duckdb.DuckDBPyConnection, models: Mapping[str, DeclaredModel], lake: Lake, prediction_id: str
) -> tuple[DeclaredModel, dict[str, Any]]:
    for model in models.values():
        table = model.tables(lake).predictions
        if table.exists:
            rows = table.read(con).filter(duckdb.ColumnExpression("prediction_id") == prediction_id)
            found = rows.to_arrow_table().to_pylist()
            if found:
                return model, found[0]
    raise Refusal(
        f"there is no prediction {prediction_id} of {', '.join(models)}; the column prediction_id of "
        "<model>/predictions has them"
    )


def _is(model: DeclaredModel, prediction: Mapping[str, Any]) -> str:
    """The SQL condition that leaves the rows of the prediction's entity."""
    types = model.group.features.entity_types
    texts = {column: text(str(prediction[column])) for column in model.entity}
    return " AND ".join(f"{column} = CAST({value} AS {types[column]})" for column, value in texts.items())


def _events(
    con: duckdb.DuckDBPyConnection,
    model: DeclaredModel,
    lake: Lake,
    prediction: Mapping[str, Any],
    snapshot: Table,
    at: int,
    shown: int,
) -> tuple[list[EventsBehind], list[Disparity], list[str]]:
    """The events that the snapshot was made from, whether by definition they give its features, and which can't be told.

    Those are the features that are declared otherwise by now.
    """
    features, as_of = model.group.features, prediction["as_of"]
    tiles = model.group.tiles(lake)
    made = snapshot.made(as_of, at)
    newest = made.inputs[tiles.name]
    inputs = next(c.inputs for c in tiles.history() if c.version <= newest and c.inputs)
    now, behind = f"TIMESTAMPTZ '{as_of} 00:00:00+00'", []
    with confined() as apart:
        for source, table in model.group.events(lake).items():
            rows = table.read(apart, between=(date.min, as_of), version=inputs[table.name])
            own = rows.filter(_is(model, prediction)).sql_query()
            apart.execute(f"CREATE TEMP TABLE true_{source} AS {own}")
        held = snapshot.read(apart, between=(as_of, as_of), version=at).filter(_is(model, prediction))
        seal(apart)
        for source, table in model.group.events(lake).items():
            known = apart.table(f"true_{source}").filter(f"occurred_at < {now} AND available_at <= {now}")
            window = f"occurred_at >= {now} - INTERVAL {features.longest_window} DAY"
            ((total, within),) = known.aggregate(f"count(*), count(*) FILTER (WHERE {window})").fetchall()
            rows_of = _with_files(
                con,
                known.order("occurred_at DESC, landing_date, row_number").limit(shown),
                model,
                source,
                lake,
            )
            behind.append(EventsBehind(source, inputs[table.name], total, within, rows_of))
        unknown = redefined(made.provenance.definitions or None, model.group.definitions)
        otherwise = [column for column in features.columns if column in unknown]
        alike = features.only(set(features.columns) - unknown)
        if not alike.features:
            return behind, [], otherwise
        by_definition = values_of(apart, alike, definition_query(alike, now))
        found = values_of(apart, alike, held.sql_query())
    return behind, differences(alike, as_of, found, by_definition, "by definition"), otherwise


def _with_files(
    con: duckdb.DuckDBPyConnection,
    events: duckdb.DuckDBPyRelation,
    model: DeclaredModel,
    source: str,
    lake: Lake,
) -> list[dict[str, Any]]:
    """The events with the name of the landing file of their day."""
    from ml_assets.landing.raw import seen_files

    seen = seen_files(con, model.group.sources[source].tables(lake).files)
    rows = events.to_arrow_table().to_pylist()
    return [
        {**row, "file": seen[row["landing_date"]].file if row["landing_date"] in seen else None}
        for row in rows
    ]


def described(found: Trace) -> list[str]:
    """The trace in lines for a person."""
    prediction, tags = found.prediction, found.version.tags
    who = ", ".join(f"{column} {prediction[column]}" for column in found.model.entity)
    same = {True: "the same today", False: f"today {found.score_again!r}"}[
        found.score_again == prediction["score"]
    ]
    lines = [
        f"prediction {prediction['prediction_id']}: {found.model.name} of {who} at {prediction['as_of']}",
        f"  score {prediction['score']!r} ({same})",
        f"model {found.model.name} version {found.version.number}, cutoff {found.version.cutoff}, MLflow run "
        f"{found.version.run_id}",
        *(f"  {name} {tags.get(name, 'not recorded')}" for name in ("git_commit", "config", "lock_sha256")),
        f"features of snapshot version {found.snapshot_version}"
        + (
            " (as they were scored)"
            if found.features_hash == prediction["features_hash"]
            else " (NOT as they were scored)"
        ),
        *(f"  {name} = {_value(value)}" for name, value in found.features.items()),
        *(f"  unlike the events: {difference}" for difference in found.unlike_events),
    ]
    if found.not_recomputed:
        lines.append(f"  declared otherwise since, so not recomputed: {', '.join(found.not_recomputed)}")
    if not found.unlike_events:
        rest = "each" if not found.not_recomputed else "each of the others"
        lines.append(f"  {rest} as the events give it by definition")
    for behind in found.events:
        lines.append(
            f"events of {behind.source}, version {behind.version}: {behind.known} known by then, {behind.within} of "
            f"them within the longest window; the newest:"
        )
        lines += [f"  {_event(row)}" for row in behind.newest]
    lines.append(f"trained on content hash {tags.get('training_set', 'not recorded')}")
    lines += [f"  {name} version {number}" for name, number in json.loads(tags.get("inputs", "{}")).items()]
    lines.append(f"to train it again: ml-assets models reproduce {found.model.name} {found.version.number}")
    return lines


def _value(value: object) -> str:
    return "none" if value is None or value != value else str(value)


def _event(row: Mapping[str, Any]) -> str:
    about = {k: v for k, v in row.items() if k not in ("file", "row_number", "landing_date", "event_date")}
    place = f"{row['file']} row {row['row_number']}"
    return ", ".join(f"{name} {_value(value)}" for name, value in about.items()) + f" ({place})"
