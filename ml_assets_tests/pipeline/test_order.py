"""Whatever the order, the chunks and the repetitions in which files arrive and days are built: the same tables."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from ml_assets.components.shared.partitions import SlotsOf, daily
from ml_assets.components.source.sensors import new_files, touched_by, unread_days
from ml_assets.contracts import Contract
from ml_assets.contracts.compile.load import load_contract
from ml_assets.features import Entity, Feature, FeatureSet
from ml_assets.features.store import write_snapshots, write_tiles
from ml_assets.lake import Lake, Provenance, Table, as_ranges, connect, content_hash, stale_days
from ml_assets.landing import LandingFolder
from ml_assets.landing.events import write_events
from ml_assets.landing.raw import SourceTables, land, rows_in_force, seen_files
from ml_assets.landing.withholding import withheld
from ml_assets_tests.profiles import examples

START, DAYS, LATE = date(2024, 2, 27), 5, 2
PARTITIONS = daily(START, START + timedelta(days=DAYS - 1))
AS_OFS = daily(START + timedelta(days=1), START + timedelta(days=DAYS))
EVERYTHING = (START, START + timedelta(days=DAYS - 1))
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
      - {name: amount, logicalType: number, physicalType: "DECIMAL(10,2)", required: true,
         logicalTypeOptions: {minimum: 0}}
      - {name: occurred_at, logicalType: timestamp, required: true}
"""
LIMIT = """
    quality:
      - {name: refused_share, metric: invalidValues, unit: percent, mustBeLessOrEqualTo: 60}
"""
KEYS = {
    "raw": ["landing_date", "row_number"],
    "events": ["event_date", "tap_id"],
    "quarantine": ["event_date", "landing_date", "row_number"],
    "withheld": ["event_date", "rule"],
    "tiles": ["available_date", "event_date", "who"],
    "snapshot": ["as_of", "who"],
}

row = st.fixed_dictionaries(
    {
        "tap_id": st.integers(1, 4),
        "who": st.integers(1, 2),
        "amount": st.sampled_from(["1.00", "2.50", "-1.00", "much"]),
        "days_before": st.integers(-1, LATE + 1),
    }
)
file = st.tuples(st.integers(0, DAYS - 1), st.lists(row, min_size=1, max_size=4))
span = st.tuples(st.integers(0, DAYS - 1), st.integers(0, DAYS - 1)).map(sorted)


def inputs(table: Table) -> Provenance:
    """What a commit says of the table it read."""
    return Provenance(inputs={} if table.version is None else {table.name: table.version})


@dataclass(frozen=True)
class Place:
    """A landing folder and a lake."""

    folder: Path
    contract: Contract
    features: FeatureSet

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"))

    @property
    def tables(self) -> SourceTables:
        return SourceTables.of(self.lake, "taps")

    @property
    def tiles(self) -> Table:
        return self.lake.table("taps_by_who/tiles", "available_date")

    @property
    def snapshot(self) -> Table:
        return self.lake.table("taps_by_who/snapshot", "as_of")

    def drop(self, number: int, rows: list[dict[str, object]]) -> None:
        """What the producer does: write the file of a day, or write it anew."""
        on = START + timedelta(days=number)
        lines = ["tap_id,who,amount,occurred_at"]
        for at, values in enumerate(rows):
            day = on - timedelta(days=int(str(values["days_before"])))
            lines.append(f"{values['tap_id']},{values['who']},{values['amount']},{day} 08:00:{at:02d}")
        (self.folder / f"{on}.csv").write_text("\n".join(lines) + "\n")

    def build(self, first: date, last: date) -> None:
        """Land and build events of a range, as one run does."""
        with connect() as con:
            landing = LandingFolder(self.folder, "{date}.csv")
            land(con, self.tables, landing, self.contract, (first, last), Provenance())
            read = inputs(self.tables.files)
            write_events(con, self.tables, self.contract, (first, last), late_days=LATE, provenance=read)

    def asked(self) -> set[date]:
        """The days that the landing sensor asks for."""
        landing = LandingFolder(self.folder, "{date}.csv")
        listed = landing.listed()
        with connect() as con:
            new = new_files(landing, listed, seen_files(con, self.tables.files), set(listed), self.contract)
        touched = {day for landed in new for day in touched_by(landed, LATE, PARTITIONS)}
        return touched | unread_days(self.tables, LATE, PARTITIONS)

    def settle(self) -> None:
        """Ask for whatever is left to do, as the sensors do, until nothing is."""
        while asked := self.asked():
            for first, last in as_ranges(asked):
                self.build(first, last)
        with connect() as con:
            events, tiles, snapshot = self.tables.events, self.tiles, self.snapshot
            for part in as_ranges(self._stale(events, tiles, (-LATE, 0))):
                write_tiles(con, self.features, {"taps": events}, tiles, part, {"taps": LATE}, inputs(events))
            stale = stale_days(tiles.marks(), snapshot.marks(), tiles.name, (-3000, -1), SlotsOf(AS_OFS))
            for part in as_ranges(stale):
                write_snapshots(con, self.features, tiles, snapshot, part, (-3000, -1), inputs(tiles))

    def _stale(self, above: Table, below: Table, reach: tuple[int, int]) -> set[date]:
        return stale_days(above.marks(), below.marks(), above.name, reach, SlotsOf(PARTITIONS))

    def withheld(self) -> set[date]:
        with connect() as con:
            return set(withheld(con, self.tables))

    def hashes(self) -> dict[str, str]:
        """Of every table; of raw the rows in force, of events the days that are not withheld: those stay as they were."""
        held = ", ".join(f"DATE '{day}'" for day in self.withheld()) or "NULL"
        tables = {name: getattr(self.tables, name) for name in ("events", "quarantine", "withheld")}
        tables |= {"tiles": self.tiles, "snapshot": self.snapshot}
        found = {}
        with connect() as con:
            in_force = rows_in_force(con, self.tables, self.contract, EVERYTHING)
            landed = [column for column in in_force.columns if column != "seen_at"]
            found["raw"] = content_hash(in_force.select(*landed), KEYS["raw"])
            for name, table in tables.items():
                if not table.exists:
                    found[name] = content_hash(con.sql("SELECT 1 AS x LIMIT 0"), ["x"])
                    continue
                rows = table.read(con)
                if name == "events":
                    rows = rows.filter(f"NOT coalesce(event_date IN ({held}), FALSE)")
                kept = [column for column in rows.columns if column != "at"]
                found[name] = content_hash(rows.select(*kept), KEYS[name])
        return found


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, tuple[Contract, FeatureSet]]:
    """The contract without and with a limit of refused rows, and the features."""
    folder = tmp_path_factory.mktemp("taps")
    found = {}
    for limited, text in ((False, CONTRACT), (True, CONTRACT + LIMIT)):
        path = folder / f"{limited}.yaml"
        path.write_text(text)
        contract = load_contract(path)
        columns = {c.name: c.stored_type for c in contract.columns} | {
            "available_at": "TIMESTAMPTZ",
            "event_date": "DATE",
        }
        features = (
            Feature.model_validate({"name": "taps", "count": "*", "windows": ["2d", "4d"]}),
            Feature.model_validate({"name": "spend", "sum": "amount", "windows": ["4d"]}),
        )
        found[limited] = (contract, FeatureSet(Entity("who"), features, {"taps": columns}))
    return found


@pytest.mark.proof
@examples(12, suppress_health_check=list(HealthCheck))
@given(
    arrivals=st.lists(st.tuples(file, st.booleans(), st.none() | span), min_size=1, max_size=7),
    repeats=st.lists(span, max_size=2),
    limited=st.booleans(),
)
def test_any_order_of_arrivals_and_builds_gives_the_tables_of_one_pass(
    declared: dict[bool, tuple[Contract, FeatureSet]],
    arrivals: list[tuple[tuple[int, list[dict[str, object]]], bool, list[int] | None]],
    repeats: list[list[int]],
    limited: bool,
) -> None:
    """What was built along the way stays, unless the sensors ask for it: no pass over everything sets it right.

    With a limit, a withheld day keeps what was published before it, so what reads events may differ.
    """
    with TemporaryDirectory() as scratch:
        piecewise, at_once = (Place(Path(scratch) / name, *declared[limited]) for name in ("a", "b"))
        for place in (piecewise, at_once):
            place.folder.mkdir()
            for number in range(DAYS):
                place.drop(number, [])
        for (number, rows), by_sensor, built in arrivals:
            piecewise.drop(number, rows)
            at_once.drop(number, rows)
            if by_sensor:
                landed = START + timedelta(days=number)
                for first, last in as_ranges(touched_by(landed, LATE, PARTITIONS)):
                    piecewise.build(first, last)
                piecewise.settle()
            elif built:
                piecewise.build(*(START + timedelta(days=n) for n in built))
        for first, last in repeats:
            piecewise.build(START + timedelta(days=first), START + timedelta(days=last))
        piecewise.settle()
        at_once.build(*EVERYTHING)
        at_once.settle()
        compared = list(KEYS) if not piecewise.withheld() else ["raw", "events", "quarantine", "withheld"]
        found, expected = piecewise.hashes(), at_once.hashes()
        assert {name: found[name] for name in compared} == {name: expected[name] for name in compared}
