import hashlib
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from ml_assets.features import Entity
from ml_assets.features.tables import SNAPSHOT
from ml_assets.lake import Lake, Provenance, Table, connect
from ml_assets.lake.schema import StoredColumn, types_of
from ml_assets.serving.batch import population_frame, prediction_rows
from ml_assets.serving.tables import predictions_schema
from ml_assets.training.predictor import Scores
from ml_assets.training.target import BINARY, Target

HOUSEHOLD = StoredColumn("household_id", "BIGINT", "The household.")
AS_OF = date(2020, 1, 5)
LATER = AS_OF + timedelta(days=7)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


@pytest.fixture
def snapshot(tmp_path: Path) -> Table:
    return SNAPSHOT.table(Lake(str(tmp_path)), "group")


def write(
    con: duckdb.DuckDBPyConnection,
    snapshot: Table,
    *,
    favourite: str = "'MEAT'",
    spend: str = "household_id * 1.5",
    order: str = "household_id",
) -> None:
    rows = con.sql(
        f"SELECT household_id, as_of, (household_id % 3)::BIGINT AS trips, ({spend})::DECIMAL(9, 2) AS spend, "
        f"{favourite}::VARCHAR AS favourite FROM range(1, 7) AS households(household_id), "
        f"(VALUES (DATE '{AS_OF}'), (DATE '{LATER}')) AS days(as_of) ORDER BY {order}"
    )
    snapshot.replace(rows, between=(AS_OF, LATER), provenance=Provenance())


def population(
    con: duckdb.DuckDBPyConnection, snapshot: Table, last: date = LATER, where: str = "trips > 0"
) -> pd.DataFrame:
    rows = snapshot.read(con, between=(AS_OF, last)).filter(where)
    return population_frame(con, rows, entity=Entity("household_id"))


def predicted(
    con: duckdb.DuckDBPyConnection, frame: pd.DataFrame, *, model: str = "lapse", version: int = 3
) -> pd.DataFrame:
    scores = Scores(np.linspace(0.1, 0.9, len(frame)))
    rows = prediction_rows(
        con, frame, scores, model=model, version=version, cutoff=AS_OF, entity={"household_id": "BIGINT"}
    )
    found: pd.DataFrame = rows.df()
    return found


# the population


def test_only_the_population_is_scored_in_order(con: duckdb.DuckDBPyConnection, snapshot: Table) -> None:
    write(con, snapshot, order="hash(household_id)")
    frame = population(con, snapshot)
    assert frame["household_id"].tolist() == [1, 2, 4, 5] * 2
    assert frame["as_of"].dt.date.tolist() == [AS_OF] * 4 + [LATER] * 4
    assert set(frame) == {"household_id", "as_of", "trips", "spend", "favourite", "features_hash"}


def test_the_population_of_a_range_of_as_ofs(con: duckdb.DuckDBPyConnection, snapshot: Table) -> None:
    write(con, snapshot)
    assert len(population(con, snapshot, AS_OF)) == 4
    assert len(population(con, snapshot, AS_OF, "trips > 1 or household_id = 3")) == 3
    assert population(con, snapshot, AS_OF, "trips > 99").empty


def test_a_null_in_the_condition_keeps_the_entity_out(
    con: duckdb.DuckDBPyConnection, snapshot: Table
) -> None:
    write(con, snapshot, favourite="CASE WHEN household_id < 3 THEN 'MEAT' END")
    assert population(con, snapshot, AS_OF, "favourite = 'MEAT'")["household_id"].tolist() == [1, 2]


# what was scored


def test_the_features_hash_is_that_of_the_features_alone(
    con: duckdb.DuckDBPyConnection, snapshot: Table
) -> None:
    write(con, snapshot, spend="5")
    hashes = population(con, snapshot).set_index(["as_of", "household_id"])["features_hash"]
    same, other = hashes.xs(4, level=1), hashes.xs(2, level=1)
    assert same.nunique() == 1, "as_of is not a feature"
    assert same.tolist() == hashes.xs(1, level=1).tolist(), "the entity is not a feature"
    assert set(same) & set(other) == set(), "trips is a feature"


@pytest.mark.parametrize(
    "changed",
    [
        {"spend": "household_id * 1.5 + 0.01"},
        {"favourite": "'DELI'"},
        {"favourite": "NULL"},
        {"favourite": "'NULL'"},
        {"favourite": "''"},
    ],
    ids=str,
)
def test_the_features_hash_changes_with_a_value(
    con: duckdb.DuckDBPyConnection, snapshot: Table, changed: dict[str, str]
) -> None:
    write(con, snapshot)
    before = population(con, snapshot)["features_hash"]
    write(con, snapshot)
    assert (population(con, snapshot)["features_hash"] == before).all()
    write(con, snapshot, **changed)
    assert (population(con, snapshot)["features_hash"] != before).all()


def test_null_and_the_text_null_differ(con: duckdb.DuckDBPyConnection, snapshot: Table) -> None:
    write(con, snapshot, favourite="NULL")
    null = population(con, snapshot)["features_hash"]
    write(con, snapshot, favourite="'null'")
    assert (population(con, snapshot)["features_hash"] != null).all()


# predictions


def test_the_rows_of_the_table(con: duckdb.DuckDBPyConnection, snapshot: Table) -> None:
    write(con, snapshot)
    frame = population(con, snapshot)
    scores = Scores(np.linspace(0.1, 0.9, len(frame)))
    rows = prediction_rows(
        con, frame, scores, model="lapse", version=3, cutoff=AS_OF, entity={"household_id": "BIGINT"}
    )
    assert types_of(rows) == predictions_schema([HOUSEHOLD], BINARY).types
    found = rows.order("as_of, household_id").fetchall()
    assert [row[1:3] for row in found] == [(h, day) for day in (AS_OF, LATER) for h in (1, 2, 4, 5)]
    assert [row[6] for row in found] == scores.expected.tolist()
    assert {row[3:5] for row in found} == {(3, AS_OF)}
    assert [row[5] for row in found] == frame["features_hash"].tolist()


def test_ids_are_stable_and_unique(con: duckdb.DuckDBPyConnection, snapshot: Table) -> None:
    write(con, snapshot)
    frame = population(con, snapshot)
    first, second = predicted(con, frame), predicted(con, frame.iloc[::-1])
    assert first["prediction_id"].is_unique
    merged = first.merge(second, on=["household_id", "as_of"])
    assert (merged["prediction_id_x"] == merged["prediction_id_y"]).all()
    assert len(merged) == len(first)


def test_an_id_is_the_same_in_every_process() -> None:
    frame = pd.DataFrame({"household_id": [1], "as_of": [pd.Timestamp(AS_OF)], "features_hash": ["f"]})
    with connect() as con:
        ids = predicted(con, frame)["prediction_id"].tolist()
    assert ids == [hashlib.md5(b'["lapse","3","1","2020-01-05"]').hexdigest()]


def test_ids_do_not_follow_features_or_scores(con: duckdb.DuckDBPyConnection, snapshot: Table) -> None:
    write(con, snapshot)
    before = predicted(con, population(con, snapshot))
    write(con, snapshot, favourite="'DELI'")
    after = predicted(con, population(con, snapshot))
    assert (before["prediction_id"] == after["prediction_id"]).all()
    assert (before["features_hash"] != after["features_hash"]).all()


@pytest.mark.parametrize("other", [{"version": 4}, {"model": "churn"}, {"model": "la'pse"}], ids=str)
def test_another_version_or_model_has_other_ids(
    con: duckdb.DuckDBPyConnection, snapshot: Table, other: dict[str, object]
) -> None:
    write(con, snapshot)
    frame = population(con, snapshot)
    ours, theirs = predicted(con, frame), predicted(con, frame, **other)  # type: ignore[arg-type]
    assert not set(ours["prediction_id"]) & set(theirs["prediction_id"])


def test_parts_of_an_id_do_not_run_together(con: duckdb.DuckDBPyConnection) -> None:
    one = pd.DataFrame({"household_id": [23], "as_of": [pd.Timestamp(AS_OF)], "features_hash": ["f"]})
    other = one.assign(household_id=3)
    assert (
        predicted(con, one, version=1)["prediction_id"][0]
        != predicted(con, other, version=12)["prediction_id"][0]
    )


def test_of_several_classes_each_has_its_probability(con: duckdb.DuckDBPyConnection) -> None:
    frame = pd.DataFrame({"household_id": [1, 2], "as_of": pd.Timestamp(AS_OF), "features_hash": ["a", "b"]})
    shares = np.array([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]])
    found = prediction_rows(
        con,
        frame,
        Scores(shares @ np.arange(3.0), shares),
        model="wait",
        version=1,
        cutoff=AS_OF,
        entity={"household_id": "BIGINT"},
    )
    target = Target("multiclass", ("soon", "later", "never"))
    assert types_of(found) == predictions_schema([HOUSEHOLD], target).types
    assert found.select("score, probabilities").fetchall() == [
        (0.5, [0.5, 0.5, 0.0]),
        (1.75, [0.0, 0.25, 0.75]),
    ]
