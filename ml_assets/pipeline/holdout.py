"""The holdout of a cutoff: the labelled population with its features, and the digest by which it is known."""

import hashlib
from datetime import date
from typing import TYPE_CHECKING

import duckdb

from ml_assets.lake import Lake
from ml_assets.project.model import DeclaredModel

if TYPE_CHECKING:
    import pandas as pd


def holdout_of(
    con: duckdb.DuckDBPyConnection, model: DeclaredModel, lake: Lake, cutoff: date
) -> "pd.DataFrame":
    """The labelled population at the cutoff with its features, but for rows that no estimator can take."""
    from ml_assets.training.frames import check_frame, usable_rows

    between = (cutoff, cutoff)
    features = list(model.group.feature_types)
    model.group.snapshot(lake).read(
        con, columns=[*model.entity, "as_of", *features], between=between
    ).create_view("holdout_snapshot", replace=True)
    model.tables(lake).labels.read(con, between=between).create_view("holdout_labels", replace=True)
    rows = con.sql(
        "SELECT holdout_snapshot.*, label FROM holdout_labels "
        f"JOIN holdout_snapshot USING ({model.entity}, as_of) ORDER BY {model.entity}"
    )
    types = model.group.feature_types
    usable, _ = usable_rows(rows.df(), types, entity=list(model.entity))
    return check_frame(usable, types, entity=model.entity, target=model.spec.label.target)


def digest_of(holdout: "pd.DataFrame") -> str:
    """SHA-256 of the rows as they are when they are scored."""
    import pandas as pd

    return hashlib.sha256(pd.util.hash_pandas_object(holdout, index=False).to_numpy().tobytes()).hexdigest()
