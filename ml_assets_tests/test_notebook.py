"""Features in notebooks and on the command line, over the tables of a small project."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pandera.errors import SchemaErrors

from ml_assets.cli.app import main
from ml_assets.features import FeatureError
from ml_assets.instance.refusal import Refusal
from ml_assets.lake import connect
from ml_assets.notebook import GroupFeatures, features, frame_schema
from ml_assets_tests import visits
from ml_assets_tests.house import FEATURES, MINI, SOURCE, House, opened

GROUP = "visitor_features"
SPINE = pl.DataFrame(
    {
        "visitor_id": [1, 2, 999, 1],
        "as_of": [pd.Timestamp(visits.day(n), tz="UTC") for n in (15, 15, 15, 3)],
        "note": ["a", "b", "c", "d"],
    },
    schema_overrides={"as_of": pl.Datetime("us", "UTC")},
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Twenty days from landing to snapshots."""
    with opened(tmp_path_factory.mktemp("notebook") / "home") as made:
        made.land(0, 19)
        assert made.run(SOURCE, 0, 19).success
        assert made.run(FEATURES[:1], 0, 19).success
        assert made.run(FEATURES[1:], 1, 20).success
        yield made


@pytest.fixture
def group(house: House, monkeypatch: pytest.MonkeyPatch) -> GroupFeatures:
    """The house's features; commands see its project too."""
    monkeypatch.setenv("ML_ASSETS_DEFS", MINI)
    monkeypatch.setenv("ML_ASSETS_LAKE", house.lake.root)
    monkeypatch.setenv("DAGSTER_HOME", str(house.home / ".dagster"))
    return features(GROUP, lake=house.lake.root)


def test_the_same_kind_comes_back_with_the_same_rows(group: GroupFeatures) -> None:
    found = group.at(SPINE)
    assert isinstance(found, pl.DataFrame)
    assert found.columns == [*SPINE.columns, *group.group.features.columns]
    assert found.select(SPINE.columns).equals(SPINE)
    arrow = group.at(SPINE.to_arrow())
    assert isinstance(arrow, pa.Table)
    assert pl.DataFrame(arrow).equals(found)
    frame = group.at(SPINE.to_pandas())
    assert isinstance(frame, pd.DataFrame)
    assert frame["visits_7d"].tolist() == found["visits_7d"].to_list()
    with connect() as con:
        relation = group.at(con.from_arrow(SPINE.to_arrow()))
        assert isinstance(relation, duckdb.DuckDBPyRelation)
        assert relation.fetchall() == found.rows()


def test_a_relation_stays_what_it_was(group: GroupFeatures) -> None:
    with connect() as con:
        spine = con.from_arrow(SPINE.to_arrow())
        first = group.at(spine)
        other = group.at(spine.filter("visitor_id = 2"))
        assert (len(first.fetchall()), len(other.fetchall())) == (SPINE.height, 1)


def test_at_midnight_it_is_the_row_of_the_snapshot(group: GroupFeatures, house: House) -> None:
    as_of = visits.day(15)
    with connect() as con:
        snapshot = house.table(f"{GROUP}/snapshot").read(con, between=(as_of, as_of))
        rows = snapshot.order("visitor_id").fetchall()
        spine = snapshot.select("visitor_id, as_of").order("visitor_id")
        assert group.at(spine).fetchall() == rows
    assert len(rows) > 40


def test_a_visitor_nobody_has_seen_keeps_the_row(group: GroupFeatures) -> None:
    unknown = group.at(SPINE).row(2, named=True)
    assert (unknown["note"], unknown["visits_7d"], unknown["channel"]) == ("c", 0, None)


def test_naive_times_are_refused(group: GroupFeatures) -> None:
    naive = SPINE.with_columns(pl.col("as_of").dt.replace_time_zone(None))
    with pytest.raises(FeatureError, match="as_of has no time zone, so it names no moment"):
        group.at(naive)


def test_what_is_no_table_is_refused(group: GroupFeatures) -> None:
    with pytest.raises(TypeError, match=r"a spine is a DuckDB relation, an Arrow table or .* not a list"):
        group.at([1, 2])  # type: ignore[type-var]


def test_an_unknown_group_is_named(group: GroupFeatures) -> None:
    with pytest.raises(Refusal, match="there is no feature group visitors; there are visitor_features"):
        features("visitors")


# the command line


@pytest.mark.usefixtures("group")
def test_at_writes_the_spine_with_its_features(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spine, out = tmp_path / "spine.parquet", tmp_path / "out.parquet"
    SPINE.write_parquet(spine)
    assert main(["features", "at", str(spine), "--out", str(out)]) == 0
    assert pl.read_parquet(out)["note"].to_list() == SPINE["note"].to_list()
    assert main(["features", "at", str(spine), "--out", str(out)]) == 1
    assert f"{out} exists" in capsys.readouterr().err
    late = tmp_path / "late.parquet"
    SPINE.with_columns(pl.col("as_of") + timedelta(days=300)).write_parquet(late)
    assert main(["features", "at", str(late), "--out", str(tmp_path / "none.parquet")]) == 1
    assert "visitor_features/tiles lacks" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "late.parquet",
        "out.parquet",
        "spine.parquet",
    ]
    assert main(["features", "at", str(tmp_path / "gone.parquet"), "--out", str(tmp_path / "x")]) == 1
    assert "there is no file" in capsys.readouterr().err


@pytest.mark.usefixtures("group")
def test_list_and_describe(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["features", "list"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first.split() == ["visitor_features.visits", "7d,", "14d", "Visits"]
    assert len(others) == 3
    assert main(["features", "describe", "visits_7d"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "visitor_features.visits: Visits",
        "  count: *",
        "  visits_7d  BIGINT, events  the last 7 days",
        "  visits_14d  BIGINT, events  the last 14 days",
        "  expected: min 0, max 14",
        "  used by: churn",
        "  from visits/events: occurred_at",
    ]
    assert house.run([f"{GROUP}/catalogue"]).success
    assert main(["features", "describe", "visits_14d"]) == 0
    *_, one, other = capsys.readouterr().out.splitlines()
    assert one.startswith("  visits_7d at 2024-01-21: 0 to 7, median ")
    assert other.endswith(", 0.0% empty")
    assert main(["features", "describe", "vists"]) == 1
    assert capsys.readouterr().err.endswith("ml-assets: there is no feature vists; did you mean visits?\n")


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("part", ["tiles", "snapshot", "spine"])
def test_plan_prints_sql_that_runs_elsewhere(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    from sqlglot import parse_one

    for dialect in ("duckdb", "spark"):
        assert main(["features", "plan", part, "--dialect", dialect]) == 0
        assert parse_one(capsys.readouterr().out, dialect=dialect).named_selects


def test_a_request_is_answered_with_what_a_spine_gives(group: GroupFeatures) -> None:
    requests = group.requests(since=visits.day(3))
    for row in group.at(SPINE).rows(named=True):
        assert requests.of({"visitor_id": row["visitor_id"]}, row["as_of"]) == {
            column: row[column] for column in group.group.features.columns
        }


def test_events_in_a_frame_are_held_against_their_contract(group: GroupFeatures, house: House) -> None:
    with connect() as con:
        frame = house.source.events.read(con).to_arrow_table().to_pandas()
    schema = frame_schema("visits")
    schema.validate(frame, lazy=True)
    frame.loc[3, "channel"] = "phone"
    with pytest.raises(SchemaErrors) as caught:
        schema.validate(frame, lazy=True)
    assert set(caught.value.failure_cases["check"]) == {"channel_valid_values"}
    with pytest.raises(Refusal, match="there is no source calls; there are visits"):
        frame_schema("calls")
