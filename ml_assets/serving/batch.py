"""Predictions: score the population of a snapshot and say exactly what was scored, by which version."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import duckdb

from ml_assets.features import Entity
from ml_assets.lake.sql import quote, text

if TYPE_CHECKING:
    import pandas as pd

    from ml_assets.training.predictor import Scores


def population_frame(
    con: duckdb.DuckDBPyConnection, rows: duckdb.DuckDBPyRelation, *, entity: Entity
) -> "pd.DataFrame":
    """Rows of a snapshot as a frame, ordered by entity and as_of.

    One row per entity and as_of, plus ``features_hash``: MD5 over the feature values as
    JSON, which says later whether two predictions saw the same inputs.
    """
    features = ", ".join(quote(c) for c in rows.columns if c not in (*entity, "as_of"))
    rows.create_view("population_snapshot", replace=True)
    frame: pd.DataFrame = con.sql(
        f"SELECT *, md5(to_json(struct_pack({_named(features)}))::VARCHAR) AS features_hash "
        f"FROM population_snapshot ORDER BY as_of, {entity}"
    ).df()
    return frame


def _named(features: str) -> str:
    return ", ".join(f"{column} := {column}" for column in features.split(", "))


def prediction_rows(
    con: duckdb.DuckDBPyConnection,
    frame: "pd.DataFrame",
    scores: "Scores",
    *,
    model: str,
    version: int,
    cutoff: object,
    entity: Mapping[str, str],
) -> duckdb.DuckDBPyRelation:
    """The rows of the table ``predictions``.

    Columns: ``prediction_id`` (MD5 of model, version, entity and as_of), the entity, ``as_of`` DATE,
    ``model_version`` BIGINT, ``known_until`` DATE (the version's cutoff: what happened before it may have
    been learnt from), ``features_hash``, ``score`` DOUBLE (the expected label), and of several classes
    ``probabilities`` DOUBLE[], one per class. ``entity`` maps its columns to their DuckDB types. Same
    inputs, same rows.
    """
    scored = frame[[*entity, "as_of", "features_hash"]].assign(score=scores.expected)
    listed = "score"
    if scores.classes is not None:
        scored["probabilities"] = list(scores.classes)
        listed = "score, probabilities::DOUBLE[] AS probabilities"
    con.register("scored_population", scored)
    named = ", ".join(f"CAST({quote(column)} AS {kind})::VARCHAR" for column, kind in entity.items())
    typed = ", ".join(
        f"CAST({quote(column)} AS {kind}) AS {quote(column)}" for column, kind in entity.items()
    )
    return con.sql(
        f"SELECT md5(to_json([{text(model)}, '{version}', {named}, as_of::DATE::VARCHAR])::VARCHAR) "
        f"AS prediction_id, {typed}, as_of::DATE AS as_of, {version}::BIGINT AS model_version, "
        f"DATE '{cutoff}' AS known_until, features_hash, {listed} FROM scored_population"
    )
