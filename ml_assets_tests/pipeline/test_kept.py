"""Who meets a condition over a snapshot, as a version reads it."""

from datetime import date
from pathlib import Path

import duckdb
import pytest

from ml_assets.features import Entity
from ml_assets.lake import Lake, Provenance, connect
from ml_assets.pipeline.kept import AsTrained

AS_OF = date(2020, 1, 1)


@pytest.fixture
def snapshot(tmp_path: Path) -> AsTrained:
    table = Lake(str(tmp_path)).table("group/snapshot", "as_of")
    with connect() as con:
        rows = con.sql(
            f"SELECT n AS household_id, n % 3 AS trips, DATE '{AS_OF}' AS as_of FROM range(1, 7) AS r(n)"
        )
        table.replace(rows, between=(AS_OF, AS_OF), provenance=Provenance())
    return AsTrained(table)


def members(snapshot: AsTrained, where: str) -> list[int]:
    frame = snapshot.members((AS_OF, AS_OF), entity=Entity("household_id"), where=where)
    found: list[int] = frame["household_id"].tolist()
    return found


def test_members_meet_the_condition(snapshot: AsTrained) -> None:
    assert members(snapshot, "trips > 1 OR household_id = 3") == [2, 3, 5]


def test_a_condition_that_slips_past_the_list_reads_no_file(snapshot: AsTrained) -> None:
    with pytest.raises(duckdb.PermissionException, match="passwd"):
        members(snapshot, "trips < (SELECT count(*) FROM read_text('/etc/passwd'))")
