"""What building slots again costs, by what is on record."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from ml_assets.lake import Lake, Provenance, Table, connect, records
from ml_assets.lake.commit import Commit
from ml_assets.pipeline.due.cost import NOTHING, cost_of, seconds_a_slot

FIRST = date(2024, 3, 1)
LATER = FIRST + timedelta(days=3)


def write(table: Table, slots: int, run: str) -> None:
    rows = [{"on": FIRST + timedelta(days=n), "value": n} for n in range(slots)]
    with connect() as con:
        table.replace(
            records(con, rows, {"on": "DATE", "value": "INTEGER"}),
            between=(FIRST, FIRST + timedelta(days=slots - 1)),
            provenance=Provenance(run=run),
        )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


def test_missing_slots_take_the_mean_of_the_others(lake: Lake) -> None:
    table = lake.table("a/b", "on")
    assert cost_of(table, {FIRST}, None) == NOTHING
    write(table, 2, "one")
    sizes = table.sizes()
    assert list(sizes.values()) == [
        sum(path.stat().st_size for path in Path(table.uri).glob(f"on={slot}/*.parquet")) for (slot,) in sizes
    ]
    assert cost_of(table, {FIRST}, 0.5).bytes == sizes[(FIRST,)]
    found = cost_of(table, {FIRST, LATER}, 0.5)
    assert found.bytes == sizes[(FIRST,)] + round(sum(sizes.values()) / 2)
    assert found.seconds == 1.0


def test_the_pace_is_that_of_the_newest_run_that_built_both(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, table = lake.table("a/before", "on"), lake.table("a/after", "on")
    write(table, 1, "alone")
    assert seconds_a_slot(table, before) is None
    for slots, run in ((1, "first"), (4, "second")):
        write(before, slots, run)
        write(table, slots, run)
    write(before, 2, "third")
    (_, second, *_), (newest, *_) = _commits(before), _commits(table)
    expected = (newest.at - second.at).total_seconds() / 4
    assert seconds_a_slot(table, before) == pytest.approx(expected)


def _commits(table: Table) -> list[Commit]:
    return [commit for commit in table.history() if commit.between]
