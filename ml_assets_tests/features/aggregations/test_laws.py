"""What every aggregation says of itself holds: types, order of merging, subtraction, and what adding one takes."""

from itertools import pairwise
from random import Random

import duckdb
import pytest

from ml_assets.features.aggregations.aggregation import Aggregation, Folded, Part, Tally
from ml_assets.features.aggregations.distinct import Distinct
from ml_assets.features.queries.schema import snapshot_types
from ml_assets.features.queries.tiles import tiles_query
from ml_assets.features.spec import AGGREGATIONS, Feature
from ml_assets_tests.features.oracle import ALL, load
from ml_assets_tests.features.test_store import history

BY = {f"{each.key} {each.expression}": each for each in ALL.aggregations}


def tiled(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Make tiles of a history; return their columns with their types."""
    load(con, history())
    con.execute(f"CREATE OR REPLACE TABLE tiles AS {tiles_query(ALL)}")
    tiles = con.table("tiles")
    return dict(zip(tiles.columns, map(str, tiles.types), strict=True))


def test_each_key_of_a_feature_is_that_of_its_class_and_all_are_proven() -> None:
    assert all(key == way.key and key in Feature.model_fields for key, way in AGGREGATIONS.items())
    assert {each.key for each in ALL.aggregations} == set(AGGREGATIONS)
    assert all(issubclass(way, (Folded, Tally, Distinct)) for way in AGGREGATIONS.values())


def test_parts_have_the_types_they_say(con: duckdb.DuckDBPyConnection) -> None:
    found = tiled(con)
    for each in ALL.aggregations:
        value = _type(con, each.read or "1")
        for column, part in each.columns.items():
            assert con.execute(
                f"SELECT typeof(CAST(NULL AS {part.type.format(value=value)}))"
            ).fetchall() == [(found[column],)], column


@pytest.mark.parametrize("each", BY.values(), ids=BY)
def test_parts_become_one_in_any_order(con: duckdb.DuckDBPyConnection, each: Aggregation) -> None:
    tiled(con)
    for column, part in each.columns.items():
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE p AS SELECT row_number() OVER () AS i, {column} AS part FROM tiles"
        )
        ((count,),) = con.execute("SELECT count(*) FROM p").fetchall()
        at_once = _merged(con, part, "SELECT part FROM p")
        for seed in range(3):
            order = Random(seed).sample(range(1, count + 1), count)
            cuts = [0, *sorted(Random(seed).sample(range(1, count), 3)), count]
            con.execute("CREATE OR REPLACE TEMP TABLE merged AS SELECT part FROM p LIMIT 0")
            for first, last in pairwise(cuts):
                some = ", ".join(map(str, order[first:last]))
                con.execute(f"INSERT INTO merged {_merging(part, f'SELECT part FROM p WHERE i IN ({some})')}")
            assert _merged(con, part, "SELECT part FROM merged") == at_once


@pytest.mark.parametrize("each", BY.values(), ids=BY)
def test_what_subtracts_is_what_the_rest_adds_up_to(
    con: duckdb.DuckDBPyConnection, each: Aggregation
) -> None:
    tiled(con)
    assert each.subtracts == (each.key in ("count", "sum", "mean", "stddev", "mode", "quantile"))
    for column, part in each.columns.items():
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE p AS SELECT row_number() OVER () AS i, {column} AS part FROM tiles"
        )
        rest = _merged(con, part, "SELECT part FROM p WHERE i % 3 > 0")
        if part.merge == "SUM":
            without = "SELECT part FROM p UNION ALL SELECT -part FROM p WHERE i % 3 = 0"
            assert _merged(con, part, without) == rest
        if part.merge == "COUNTS":
            negative = "list_transform(part, lambda x: {'value': x.value, 'n': -x.n})"
            without = f"SELECT part FROM p UNION ALL SELECT {negative} FROM p WHERE i % 3 = 0"
            assert _merged(con, part, without) == rest


def _type(con: duckdb.DuckDBPyConnection, expression: str) -> str:
    ((found,),) = con.execute(f"SELECT DISTINCT typeof({expression}) FROM shop_events").fetchall()
    return str(found)


def _merged(con: duckdb.DuckDBPyConnection, part: Part, rows: str) -> object:
    ((found,),) = con.execute(_merging(part, rows)).fetchall()
    return found


def _merging(part: Part, rows: str) -> str:
    """The query of one merged part, from those of ``rows``."""
    if part.merge == "UNION":
        return f"SELECT list_sort(list(DISTINCT v)) AS part FROM (SELECT unnest(part) AS v FROM ({rows}))"
    if part.merge == "COUNTS":
        counted = (
            f"SELECT e.value AS v, sum(e.n) AS n FROM (SELECT unnest(part) AS e FROM ({rows})) GROUP BY v"
        )
        packed = "list({'value': v, 'n': CAST(n AS BIGINT)} ORDER BY v)"
        return f"SELECT {packed} AS part FROM ({counted} HAVING sum(e.n) > 0)"
    return f"SELECT {part.merged('part')} AS part FROM ({rows})"


def test_values_have_the_types_they_say() -> None:
    schema = snapshot_types(ALL)
    with duckdb.connect() as con:
        load(con, history(count=1))
        for column in ALL.aggregated:
            value = _type(con, column.by.read or "1")
            assert schema[column.name] == column.by.gives.format(value=value), column.name
