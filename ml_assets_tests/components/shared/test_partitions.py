from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from ml_assets.components.shared.partitions import between_of_run, partitions_of, range_tags
from ml_assets.project.calendar import WEEK, Calendar
from ml_assets_tests.house import SOURCE, House, opened

TABLES = ("visits/events", "visits/quarantine", "visitor_features/tiles", "visitor_features/snapshot")
DAYS = 4
START = date(2024, 1, 1)


def build(house: House, ranges: Iterable[tuple[int, int]]) -> dict[str, str]:
    """Materialize each layer over the ranges, one run a range, in their order; the content of all tables."""
    house.land(0, DAYS - 1)
    ranges = list(ranges)
    for assets, offset in (
        (SOURCE, 0),
        (("visitor_features/tiles",), 0),
        (("visitor_features/snapshot",), 1),
    ):
        for first, last in ranges:
            assert house.run(assets, first + offset, last + offset).success
    return house.hashes(TABLES)


@pytest.fixture(scope="module")
def in_one_range(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    with opened(tmp_path_factory.mktemp("range") / "home") as made:
        return build(made, [(0, DAYS - 1)])


@pytest.mark.slow
@pytest.mark.parametrize(
    "ranges",
    [
        pytest.param([(n, n) for n in range(DAYS)], id="day by day", marks=pytest.mark.proof),
        pytest.param([(n, n) for n in reversed(range(DAYS))], id="in reverse", marks=pytest.mark.proof),
        pytest.param([(2, 3), (0, 2)], id="overlapping"),
    ],
)
def test_any_backfill_gives_the_same_rows(
    house: House, in_one_range: dict[str, str], ranges: list[tuple[int, int]]
) -> None:
    assert build(house, ranges) == in_one_range


def test_another_day_gives_other_rows(house: House, in_one_range: dict[str, str], tmp_path: Path) -> None:
    """The comparison above can fail."""
    house.land(0, DAYS - 1)
    house.land(2, 2, salt="other")
    assert house.run(SOURCE, 0, DAYS - 1).success
    assert house.hash("visits/events") != in_one_range["visits/events"]


def test_materializing_again_changes_no_row(landed: House) -> None:
    before = landed.hashes(TABLES)
    assert landed.run(SOURCE, 3, 5).success
    assert landed.run(["visitor_features/tiles"], 3, 5).success
    assert landed.run(["visitor_features/snapshot"], 4, 6).success
    assert landed.hashes(TABLES) == before


def test_days_and_cutoffs_have_their_partitions() -> None:
    partitions = partitions_of(Calendar(START, date(2024, 1, 3)))
    assert partitions.get_partition_keys() == ["2024-01-01", "2024-01-02", "2024-01-03"]
    for weekday in range(7):
        first = START + timedelta(days=weekday)
        keys = partitions_of(Calendar(first, first + timedelta(weeks=2), WEEK)).get_partition_keys()
        assert keys == [str(first + timedelta(weeks=n)) for n in range(3)]


def test_a_run_says_what_it_is_about() -> None:
    assert between_of_run(range_tags(START, date(2024, 1, 3))) == (START, date(2024, 1, 3))
    assert between_of_run({"dagster/partition": "2024-01-02"}) == (date(2024, 1, 2), date(2024, 1, 2))
    assert between_of_run({}) is None


def test_a_snapshot_reads_the_tiles_of_all_days_before_it(house: House) -> None:
    graph = house.defs.resolve_asset_graph()
    snapshot, tiles = (dg.AssetKey(["visitor_features", name]) for name in ("snapshot", "tiles"))
    node = graph.get(snapshot)
    mapping = node.partition_mappings[tiles]
    upstream = graph.get(tiles).partitions_def
    assert upstream is not None
    assert node.partitions_def is not None
    subset = node.partitions_def.subset_with_partition_keys(["2024-02-01"])
    found = mapping.get_upstream_mapped_partitions_result_for_partitions(
        subset, node.partitions_def, upstream
    ).partitions_subset.get_partition_keys()
    assert sorted(found) == [str(START + timedelta(days=n)) for n in range(31)]
