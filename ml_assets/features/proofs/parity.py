"""Proof that a request is answered with what training has seen: sampled entities asked for one by one."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta

from ml_assets.features.feature_set import FeatureSet
from ml_assets.features.proofs.differences import Disparity, Rows, differences, hold_sample, values_of
from ml_assets.features.queries.definition import definition_query
from ml_assets.features.queries.request import Requests
from ml_assets.lake import Table, confined, connect, seal

ENTITIES = 10
"""Entities that are asked for at each moment: each request is a query of its own."""


def find_disparities(
    features: FeatureSet,
    *,
    events: Mapping[str, Table],
    tiles: Table,
    snapshot: Table,
    reach: Mapping[str, int],
    as_of: date,
) -> list[Disparity]:
    """The differences between requests and what they should be, for entities picked by a hash.

    At 00:00 UTC of ``as_of`` that is the snapshot's row, at a moment of the day before it the definition. Raises
    FeatureError where days before ``as_of`` are not in the tables.
    """
    midnight = datetime.combine(as_of, time(), UTC)
    moment = midnight - timedelta(seconds=1 + as_of.toordinal() * 7919 % 86_400)
    with confined() as con, connect() as apart:
        stored = hold_sample(con, features, events, snapshot, as_of, ENTITIES)
        seal(con)
        held = values_of(con, features, stored.sql_query())
        known = values_of(con, features, definition_query(features, f"TIMESTAMPTZ '{moment.isoformat()}'"))
        requests = Requests(
            apart,
            features,
            events=events,
            tiles=tiles,
            reach=reach,
            since=moment.date(),
            only=con.table("chosen").to_arrow_table(),
        )
        return [
            *differences(features, as_of, _ask(requests, held, midnight), held, "in the snapshot"),
            *differences(features, moment, _ask(requests, known, moment), known, "by definition"),
        ]


def _ask(requests: Requests, entities: Iterable[tuple[object, ...]], moment: datetime) -> Rows:
    columns = requests.features.entity
    return {
        entity: tuple(requests.of(dict(zip(columns, entity, strict=True)), moment).values())
        for entity in entities
    }
