"""A changed declaration: what it makes due, what that costs, and that nothing is left of the one before."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from ml_assets.features import store
from ml_assets.lake import Lake, Table, connect, content_hash
from ml_assets.lake.definition import Definitions
from ml_assets.lake.provenance import Provenance
from ml_assets.pipeline.due.adoption import adopt, unrecorded
from ml_assets.pipeline.due.features import edges
from ml_assets.pipeline.due.landing import redefined_events
from ml_assets.pipeline.due.plan import plan
from ml_assets.pipeline.run import Run
from ml_assets.project.project import Project
from ml_assets_tests.pipeline.steps_only import StepsOnly, declare
from ml_assets_tests.profiles import examples

START, DAYS = date(2024, 2, 27), 6
LAST = START + timedelta(days=DAYS - 1)
CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: taps
version: 1.0.0
status: active
schema:
  - name: taps
    properties:
      - {name: tap_id, logicalType: integer, primaryKey: true}
      - {name: who, logicalType: integer, required: true}
      - {name: channel, logicalType: string}
      - {name: amount, logicalType: number, physicalType: "DECIMAL(10,2)", required: true,
         logicalTypeOptions: {minimum: 0}}
      - {name: cents, logicalType: integer, transformLogic: "CAST(amount AS DECIMAL(10,2)) * 100"}
      - {name: occurred_at, logicalType: timestamp, required: true, logicalTypeOptions: {defaultTimezone: UTC}}
"""
TAPS = '{name: taps, count: "*", windows: [2d, 4d]}'
SPEND = "{name: spend, sum: amount, windows: [4d]}"
OF_THE_WEB = "{name: spend, sum: amount, where: \"channel = 'web'\", windows: [4d]}"
SHARE = '{name: share, sql: "spend / nullif(taps_4d, 0)"}'
FIRST = "{name: first_channel, first: channel}"
FEATURES = (
    "type: ml_assets.components.FeatureGroup\nattributes: {source: taps, entity: who, features: [%s]}\n"
)


@dataclass
class Place:
    """A landing folder, a lake, and what is declared by now."""

    folder: Path
    contract: str = CONTRACT
    features: tuple[str, ...] = (TAPS, SPEND, SHARE)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in range(DAYS):
            self.land(number)
        self.declare()

    def land(self, number: int, *, factor: int = 1) -> None:
        on = START + timedelta(days=number)
        rows = [
            (
                10 * number + n,
                n % 3,
                ("web", "shop")[n % 2],
                factor * (n + number) - 1,
                f"{on} {(5 * n):02d}:30:00",
            )
            for n in range(5)
        ]
        lines = ["tap_id,who,channel,amount,occurred_at", *(",".join(map(str, row)) for row in rows)]
        (self.folder / f"{on}.csv").write_text("\n".join(lines) + "\n")

    def declare(self, *features: str, contract: str | None = None) -> None:
        """From now on, these features and this contract."""
        self.features, self.contract = features or self.features, contract or self.contract
        landing = f'{{path: "{self.folder}", pattern: "{{date}}.csv", late_days: 1}}'
        declare(self.folder / "defs", self.contract, landing, START, LAST)
        (self.folder / "defs" / "by_who" / "defs.yaml").write_text(FEATURES % ", ".join(self.features))
        self.built = StepsOnly(self.folder / "defs", Lake(str(self.folder / "lake")))

    def settle(self) -> int:
        """Do what is due until nothing is; returns the number of runs."""
        runs = 0
        while more := self.built.work():
            runs += more
        return runs

    @property
    def events(self) -> Table:
        return self.built.source.tables(self.built.lake).events

    @property
    def tiles(self) -> Table:
        return self.built.group.tiles(self.built.lake)

    @property
    def snapshot(self) -> Table:
        return self.built.group.snapshot(self.built.lake)

    def hashes(self) -> dict[str, str]:
        """Of every table, of the columns that are declared."""
        keys = {
            "events": ["event_date", "tap_id"],
            "tiles": ["available_date", "event_date", "who"],
            "snapshot": ["as_of", "who"],
        }
        types = self.built.source.schemas["events"].types
        declared = {"events": [c for c in types if c not in ("file", "content_hash")]}
        declared |= {name: list(self.built.group.schemas[name].types) for name in ("tiles", "snapshot")}
        with connect() as con:
            return {
                name: content_hash(getattr(self, name).read(con, columns=declared[name]), key)
                for name, key in keys.items()
            }

    def values(self, column: str) -> list[object]:
        """Of the newest snapshot, by entity."""
        with connect() as con:
            rows = self.snapshot.read(con, between=(LAST + timedelta(days=1), LAST + timedelta(days=1)))
            return [value for _, value in rows.select("who", column).order("who").fetchall()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


def anew(place: Place, folder: Path) -> Place:
    """The same files under the same declaration, in an empty lake."""
    other = Place(folder, place.contract, place.features)
    for file in place.folder.glob("*.csv"):
        (folder / file.name).write_text(file.read_text())
    other.settle()
    return other


def due(place: Place) -> dict[str, set[str]]:
    """What differs by definition, by table."""
    *to_tiles, to_snapshot = edges(place.built.group, place.built.lake)
    found = {"snapshot": to_snapshot.redefined(), "tiles": to_tiles[0].redefined()}
    found["events"] = redefined_events(place.built.source, place.built.lake)
    return {name: {each for names in days.values() for each in names} for name, days in found.items()}


def test_a_feature_that_counts_other_events_and_a_new_one_are_due_on_all_days(
    place: Place, tmp_path: Path
) -> None:
    place.settle()
    before = place.hashes()
    changed = {name: {day: m.changed for day, m in getattr(place, name).marks().items()} for name in before}
    place.declare(TAPS, OF_THE_WEB, SHARE, FIRST)
    assert due(place) == {
        "events": set(),
        "tiles": {"spend__sum", "first_channel__first"},
        "snapshot": {"spend", "share", "first_channel"},
    }
    assert place.settle() == 2, "one run for the tiles, one for the snapshots"
    assert place.hashes() == anew(place, tmp_path / "anew").hashes()
    after = {name: {day: m.changed for day, m in getattr(place, name).marks().items()} for name in before}
    assert after == changed, "for who reads other columns nothing has changed"
    assert place.hashes()["events"] == before["events"]
    assert place.settle() == 0


def test_the_other_columns_of_a_snapshot_are_copied(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.settle()
    place.declare(TAPS, OF_THE_WEB, SHARE)
    computed = []
    query = store.snapshot_query

    def counted(features: store.FeatureSet, first: date, last: date) -> str:
        computed.append(features.columns)
        return query(features, first, last)

    monkeypatch.setattr(store, "snapshot_query", counted)
    place.settle()
    assert computed == [["taps_2d", "taps_4d", "spend", "share"]], "share reads taps_4d"
    computed.clear()
    place.declare(TAPS, OF_THE_WEB, SHARE, FIRST)
    place.settle()
    assert computed == [["first_channel"]]


def test_the_other_columns_of_tiles_are_copied(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.settle()
    place.declare(TAPS, OF_THE_WEB, SHARE, FIRST)
    computed = []
    query = store.tiles_query

    def counted(features: store.FeatureSet) -> str:
        computed.append(features.columns)
        return query(features)

    monkeypatch.setattr(store, "tiles_query", counted)
    place.settle()
    assert computed == [["spend", "first_channel"]]


def test_somebody_who_writes_meanwhile_is_not_overwritten_with_what_was_there_before(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.settle()
    place.declare(TAPS, OF_THE_WEB, SHARE, FIRST)
    place.built.run_tiles((START, LAST))
    compute, meddled = store._compute, []

    def meddling(*given: object, **how: object) -> None:
        compute(*given, **how)  # type: ignore[arg-type]
        if not meddled:
            meddled.append(True)
            day = START + timedelta(days=3)
            with connect() as con:
                rows = place.snapshot.read(con, between=(day, day)).select("* REPLACE (0 AS taps_4d)")
                place.snapshot.replace(rows, between=(day, day), provenance=Provenance())

    monkeypatch.setattr(store, "_compute", meddling)
    place.built.run_snapshots((START + timedelta(days=1), LAST + timedelta(days=1)))
    assert meddled
    assert place.hashes() == anew(place, tmp_path / "anew").hashes()


@pytest.mark.parametrize(
    ("features", "contract"),
    [
        ((TAPS.replace("}", ", means: Taps, owner: 'team:x'}"), SPEND, SHARE), CONTRACT),
        ((TAPS, SPEND.replace("amount", "(amount)"), SHARE.replace("0)", "0) /* each */")), CONTRACT),
        ((TAPS, SPEND, SHARE), CONTRACT.replace("1.0.0", "1.1.0").replace("id: taps", "id: taps # ours")),
    ],
)
def test_comments_and_prose_make_nothing_due(place: Place, features: tuple[str, ...], contract: str) -> None:
    place.settle()
    versions = (place.events.version, place.tiles.version, place.snapshot.version)
    place.declare(*features, contract=contract)
    assert due(place) == {"events": set(), "tiles": set(), "snapshot": set()}
    assert place.settle() == 0
    assert (place.events.version, place.tiles.version, place.snapshot.version) == versions


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("defaultTimezone: UTC", "defaultTimezone: Asia/Tokyo"),
        ("* 100", "* 10"),
        ("minimum: 0", "minimum: 3"),
        ("minimum: 0", "minimum: -5"),
        ('DECIMAL(10,2)", required', 'DECIMAL(12,4)", required'),
    ],
)
def test_a_corrected_contract_builds_events_again_from_raw(
    place: Place, tmp_path: Path, old: str, new: str
) -> None:
    place.settle()
    raw = place.built.source.tables(place.built.lake).raw
    landed = raw.version
    place.declare("{name: cents, sum: cents, windows: [4d]}", TAPS, SPEND, SHARE)
    place.settle()
    place.declare(contract=CONTRACT.replace(old, new))
    assert due(place)["events"]
    place.settle()
    assert place.hashes() == anew(place, tmp_path / "anew").hashes()
    assert due(place) == {"events": set(), "tiles": set(), "snapshot": set()}
    assert raw.version == landed


def test_a_landing_column_that_comes_later_makes_no_day_before_it_due(place: Place) -> None:
    place.settle()
    column = "      - {name: till, logicalType: integer, required: true}\n"
    place.declare(contract=CONTRACT + column)
    assert due(place)["events"] == set()


def test_an_older_lake_is_adopted_once_and_nothing_of_it_is_due(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(Provenance, "following", lambda self, definitions: self)
        place.settle()
    tables = (place.events, place.tiles, place.snapshot)
    before = place.hashes()
    assert all(unrecorded(table) for table in tables)
    assert due(place) == {"events": set(), "tiles": set(), "snapshot": set()}
    marks = [table.marks() for table in tables]
    with connect() as con:
        assert adopt(con, Run("r"), place.built.lake, place.built.source, place.built.group) == [
            "taps/events",
            "by_who/tiles",
            "by_who/snapshot",
        ]
        assert adopt(con, Run("r"), place.built.lake, place.built.source, place.built.group) == []
    for table, known in zip(tables, marks, strict=True):
        assert {day: (m.changed, m.read) for day, m in known.items()} == {
            day: (m.changed, m.read) for day, m in table.marks().items()
        }
    assert place.settle() == 0
    assert place.hashes() == before
    place.declare(TAPS, OF_THE_WEB, SHARE)
    assert due(place)["snapshot"] == {"spend", "share"}


def test_a_snapshot_waits_for_tiles_of_another_definition(place: Place) -> None:
    place.settle()
    before = place.values("spend")
    place.declare(TAPS, OF_THE_WEB, SHARE)
    place.built.run_snapshots((LAST + timedelta(days=1), LAST + timedelta(days=1)))
    assert place.values("spend") == before
    place.settle()
    assert place.values("spend") != before


def test_a_feature_of_another_type_keeps_all_its_digits(place: Place, tmp_path: Path) -> None:
    place.declare(TAPS, "{name: spend, count: amount, windows: [4d]}", SHARE)
    place.settle()
    place.declare(TAPS, "{name: spend, mean: amount, windows: [4d]}", SHARE)
    place.settle()
    assert place.hashes() == anew(place, tmp_path / "anew").hashes()
    assert any(value % 1 for value in place.values("spend") if isinstance(value, float))
    place.declare(TAPS, "{name: spend, mode: channel, windows: [4d]}")
    place.settle()
    assert set(place.values("spend")) <= {"web", "shop"}


def test_a_type_that_is_changed_in_part_and_taken_back_leaves_nothing_of_it(
    place: Place, tmp_path: Path
) -> None:
    mode, total = "{name: spend, mode: channel, windows: [4d]}", "{name: spend, sum: cents, windows: [4d]}"
    whole = CONTRACT.replace(
        "logicalType: integer, transformLogic",
        'logicalType: number, physicalType: "DECIMAL(12,4)", transformLogic',
    )
    fine = whole.replace("* 100", "/ 4")
    place.declare(TAPS, total, SHARE, contract=fine)
    place.settle()
    coarse = fine.replace('logicalType: number, physicalType: "DECIMAL(12,4)"', "logicalType: integer")
    place.declare(contract=coarse)
    day = START + timedelta(days=3)
    place.built.run_events((day, day))
    place.declare(contract=fine)
    place.settle()
    assert place.hashes() == anew(place, tmp_path / "anew").hashes()

    place.declare(TAPS, mode)
    place.settle()
    before = place.hashes()
    place.declare(TAPS, total)
    place.built.run_snapshots((day, day))
    place.declare(TAPS, mode)
    place.settle()
    assert place.hashes() == before


def _following(table: Table) -> list[Definitions | None]:
    return [mark.definitions for mark in table.marks().values()]


def test_what_was_taken_out_and_put_back_is_due_where_it_was_not_computed_meanwhile(
    place: Place, tmp_path: Path
) -> None:
    place.settle()
    place.declare(TAPS)
    assert due(place) == {"events": set(), "tiles": set(), "snapshot": set()}
    place.land(3, factor=2)
    place.settle()
    place.declare(TAPS, SPEND, SHARE)
    assert due(place)["tiles"] == {"spend__sum"}
    place.settle()
    assert place.hashes() == anew(place, tmp_path / "anew").hashes()


def test_a_definition_that_comes_back_has_the_values_of_what_was_corrected_meanwhile(
    place: Place, tmp_path: Path
) -> None:
    place.settle()
    place.declare(TAPS, OF_THE_WEB, SHARE)
    place.land(3, factor=2)
    place.built.run_source((START, LAST))
    place.built.run_tiles((START, LAST))
    place.declare(TAPS, SPEND, SHARE)
    place.settle()
    assert place.hashes() == anew(place, tmp_path / "anew").hashes()


def test_the_plan_says_what_is_due_and_why_and_writes_nothing(place: Place) -> None:
    project = Project(place.folder / "defs")
    place.settle()
    versions = (place.events.version, place.tiles.version, place.snapshot.version)
    place.declare(TAPS, OF_THE_WEB, SHARE, FIRST)
    with connect() as con:
        tiles, snapshot = plan(con, Project(place.folder / "defs"), place.built.lake, 1)
        assert (tiles.table, tiles.slots, tiles.inputs_changed) == ("by_who/tiles", DAYS, 0)
        assert [change.what for change in snapshot.redefined] == [
            "column first_channel is new",
            "column share has changed",
            "column spend has changed",
        ]
        assert {change.slots for change in snapshot.redefined} == {DAYS}
        assert snapshot.rows == 3 * DAYS
        assert snapshot.cost.bytes == sum(place.snapshot.sizes().values())
        assert (place.events.version, place.tiles.version, place.snapshot.version) == versions
        place.settle()
        assert plan(con, project, place.built.lake, 1) == []


FEATURE_SETS = [
    (TAPS, SPEND, SHARE),
    (TAPS, OF_THE_WEB, SHARE, FIRST),
    (TAPS,),
    (TAPS.replace("2d, 4d", "4d, 5d"), "{name: spend, mean: amount, windows: [4d]}", SHARE),
    (
        "{name: often, mode: channel, windows: [3d]}",
        TAPS,
        "{name: buys, count_distinct: cents, windows: [2d]}",
    ),
]
CONTRACTS = [
    CONTRACT,
    CONTRACT.replace("UTC", "Asia/Tokyo"),
    CONTRACT.replace("* 100", "* 7"),
    CONTRACT.replace("minimum: 0", "minimum: 2"),
]
step = st.one_of(
    st.tuples(st.just("features"), st.sampled_from(FEATURE_SETS)),
    st.tuples(st.just("contract"), st.sampled_from(CONTRACTS)),
    st.tuples(st.just("land"), st.integers(0, DAYS - 1), st.integers(1, 3)),
    st.tuples(st.just("run"), st.sampled_from(["events", "tiles", "snapshots"]), st.integers(0, DAYS - 1)),
    st.tuples(st.just("settle")),
)


@pytest.mark.proof
@examples(12, suppress_health_check=list(HealthCheck))
@given(st.lists(step, min_size=1, max_size=6))
def test_whatever_was_declared_and_built_before_the_tables_are_those_of_the_last_declaration(
    steps: list[tuple[object, ...]],
) -> None:
    with TemporaryDirectory() as scratch:
        place = Place(Path(scratch) / "place")
        place.settle()
        for what, *given_ in steps:
            if what == "features":
                place.declare(*given_[0])  # type: ignore[misc]
            elif what == "contract":
                place.declare(contract=str(given_[0]))
            elif what == "land":
                place.land(int(str(given_[0])), factor=int(str(given_[1])))
            elif what == "run":
                day = START + timedelta(days=int(str(given_[1])))
                getattr(place.built, f"run_{given_[0]}")((day, day))
            else:
                place.settle()
        place.settle()
        assert place.hashes() == anew(place, Path(scratch) / "anew").hashes()
