"""The checks of features, and their catalogue, on a real instance."""

import dagster as dg

from ml_assets.components.shared.partitions import range_tags
from ml_assets.lake import Provenance, connect
from ml_assets.lake.definition import short
from ml_assets.operations.in_process import QUIET
from ml_assets_tests import visits
from ml_assets_tests.house import SOURCE, House

SNAPSHOT = dg.AssetKey(["visitor_features", "snapshot"])
CHECK = dg.AssetCheckKey(SNAPSHOT, "no_future_leakage")
PARITY = dg.AssetCheckKey(SNAPSHOT, "offline_online_parity")
EXPECTED = dg.AssetCheckKey(SNAPSHOT, "features_as_expected")


def evaluated(
    house: House, first: int, last: int, check: dg.AssetCheckKey = CHECK
) -> dg.AssetCheckEvaluation:
    """A check alone, over a range of as_ofs."""
    job = dg.define_asset_job("only_the_check", selection=dg.AssetSelection.checks(check))
    runnable = dg.Definitions.merge(house.defs, dg.Definitions(jobs=[job])).resolve_job_def("only_the_check")
    tags = range_tags(visits.day(first), visits.day(last))
    done = runnable.execute_in_process(
        instance=house.instance, tags=tags, run_config=QUIET, raise_on_error=False
    )
    (found,) = [each for each in done.get_asset_check_evaluations() if each.check_name == check.name]
    return found


def test_a_good_snapshot_passes(landed: House) -> None:
    found = evaluated(landed, 1, 30)
    assert found.passed, found.metadata
    assert found.blocking
    assert found.metadata["as_ofs looked at"].value == "2024-01-02, 2024-01-16, 2024-01-31"
    assert found.metadata["due again, snapshot not compared"].value == "none"
    parity = evaluated(landed, 1, 30, PARITY)
    assert parity.passed, parity.metadata
    assert parity.blocking
    assert parity.metadata["as_ofs looked at"].value == "2024-01-31"


def test_a_changed_row_fails_it_and_names_the_feature(landed: House) -> None:
    on = visits.day(12)
    table = landed.table("visitor_features/snapshot")
    with connect() as con:
        rows = table.read(con, between=(on, on)).select("* REPLACE (visits_7d + 1 AS visits_7d)")
        made = table.history(1)[0].provenance
        table.replace(rows, between=(on, on), provenance=made)
    found = evaluated(landed, 12, 12)
    assert not found.passed
    assert found.metadata["features that differ"].value == "visits_7d"
    assert f"at {on} is" in (found.description or "")
    assert "`ml-assets materialize` builds it" in (found.description or "")
    parity = evaluated(landed, 12, 12, PARITY)
    assert not parity.passed
    assert parity.metadata["features that differ"].value == "visits_7d"


def test_corrected_events_are_no_leak(landed: House) -> None:
    landed.land(10, 10, salt="corrected")
    assert landed.run(SOURCE, 10, 10).success
    found = evaluated(landed, 10, 12)
    assert found.passed, found.metadata
    assert found.metadata["due again, snapshot not compared"].value == "2024-01-12, 2024-01-13"
    parity = evaluated(landed, 10, 12, PARITY)
    assert parity.passed, parity.metadata
    assert parity.metadata["as_ofs looked at"].value == "2024-01-11"


def test_values_beyond_what_is_expected_warn(landed: House) -> None:
    found = evaluated(landed, 1, 30, EXPECTED)
    assert found.passed, found.metadata
    assert found.metadata["features with an expectation"].value == 1
    on = visits.day(12)
    table = landed.table("visitor_features/snapshot")
    with connect() as con:
        rows = table.read(con, between=(on, on)).select("* REPLACE (visits_7d + 20 AS visits_7d)")
        table.replace(rows, between=(on, on), provenance=Provenance())
    found = evaluated(landed, 1, 30, EXPECTED)
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert (found.description or "").startswith("visits_7d: at most 14 expected, 2")


def test_the_catalogue_shows_what_there_is(landed: House) -> None:
    done = landed.run(["visitor_features/catalogue"])
    assert done.success
    (made,) = [each.materialization for each in done.get_asset_materialization_events()]
    assert made.metadata["as_of"].value == "2024-01-31"
    shown = str(made.metadata["features"].value)
    assert shown.startswith("| feature | means | computed | version | reads | used by | values | empty |")
    (line,) = [line for line in shown.splitlines() if line.startswith("| visits_7d |")]
    version = short(landed.project.groups["visitor_features"].definitions["visits_7d"])
    assert f"| `count: *` | {version} | visits.occurred_at | churn | 0 to 7, median" in line
    with connect() as con:
        rows = landed.table("visitor_features/catalogue").read(con)
        assert rows.aggregate("count(*), count(DISTINCT name)").fetchall() == [
            (len(shown.splitlines()) - 2,) * 2
        ]


def test_the_catalogue_is_made_with_the_snapshots(landed: House) -> None:
    landed.land(31, 31)
    assert landed.run(SOURCE, 31, 31).success
    assert landed.launch(landed.tick("visitor_features_refresh").only).success
    done = landed.launch(landed.tick("visitor_features_refresh").only)
    assert done.success
    made = {event.asset_key.path[-1] for event in done.get_asset_materialization_events() if event.asset_key}
    assert made == {"snapshot", "catalogue"}


def test_the_catalogue_of_an_earlier_as_of_follows_its_snapshot(house: House) -> None:
    """A snapshot of wrong events was catalogued; it is mended when another one is the newest."""

    def build(first: int, last: int) -> None:
        house.land(first, last)
        assert house.run(SOURCE, first, last).success
        assert house.run(["visitor_features/tiles"], first, last).success
        assets = ["visitor_features/snapshot", "visitor_features/catalogue"]
        assert house.run(assets, first + 1, last + 1).success

    def catalogued() -> list[tuple[object, ...]]:
        return house.rows("visitor_features/catalogue", (visits.day(2), visits.day(2)))

    build(0, 1)
    right = catalogued()
    with connect() as con:
        table = house.table("visitor_features/catalogue")
        wrong = table.read(con).select("* REPLACE ('no value' AS largest)")
        table.replace(wrong, between=(visits.day(2), visits.day(2)), provenance=Provenance())
    build(2, 2)
    assert catalogued() == right
