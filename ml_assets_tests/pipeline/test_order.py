"""Whatever the order, the chunks and the repetitions in which files arrive and days are built: the same tables."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from ml_assets.lake import Lake, as_ranges, connect, content_hash
from ml_assets.landing.raw import rows_in_force
from ml_assets.landing.tables import SourceTables
from ml_assets.landing.withholding import withheld
from ml_assets.pipeline.due.landing import touched_by
from ml_assets_tests.pipeline.steps_only import StepsOnly, declare
from ml_assets_tests.profiles import examples

START, DAYS, LATE = date(2024, 2, 27), 5, 2
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


@dataclass(frozen=True)
class Place:
    """A landing folder and a lake."""

    folder: Path
    contract: str

    @cached_property
    def built(self) -> StepsOnly:
        landing = f'{{path: "{self.folder}", pattern: "{{date}}.csv", late_days: {LATE}}}'
        declare(self.folder / "defs", self.contract, landing, *EVERYTHING)
        return StepsOnly(self.folder / "defs", Lake(str(self.folder / "lake")))

    @property
    def tables(self) -> SourceTables:
        return self.built.source.tables(self.built.lake)

    def drop(self, number: int, rows: list[dict[str, object]]) -> None:
        """What the producer does: write the file of a day, or write it anew."""
        on = START + timedelta(days=number)
        lines = ["tap_id,who,amount,occurred_at"]
        for at, values in enumerate(rows):
            day = on - timedelta(days=int(str(values["days_before"])))
            lines.append(f"{values['tap_id']},{values['who']},{values['amount']},{day} 08:00:{at:02d}")
        (self.folder / f"{on}.csv").write_text("\n".join(lines) + "\n")

    def settle(self) -> None:
        """Do what is due until nothing is."""
        while self.built.work():
            pass

    def withheld(self) -> set[date]:
        with connect() as con:
            return set(withheld(con, self.tables))

    def hashes(self) -> dict[str, str]:
        """Of every table; of raw the rows in force, of events the days that are not withheld: those stay as they were."""
        held = ", ".join(f"DATE '{day}'" for day in self.withheld()) or "NULL"
        tables = {name: getattr(self.tables, name) for name in ("events", "quarantine", "withheld")}
        group, lake = self.built.group, self.built.lake
        tables |= {"tiles": group.tiles(lake), "snapshot": group.snapshot(lake)}
        found = {}
        with connect() as con:
            in_force = rows_in_force(con, self.tables, self.built.source.contract, EVERYTHING)
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


@pytest.mark.proof
@examples(12, suppress_health_check=list(HealthCheck))
@given(
    arrivals=st.lists(st.tuples(file, st.booleans(), st.none() | span), min_size=1, max_size=7),
    repeats=st.lists(span, max_size=2),
    limited=st.booleans(),
)
def test_any_order_of_arrivals_and_builds_gives_the_tables_of_one_pass(
    arrivals: list[tuple[tuple[int, list[dict[str, object]]], bool, list[int] | None]],
    repeats: list[list[int]],
    limited: bool,
) -> None:
    """What was built along the way stays, unless the sensors ask for it: no pass over everything sets it right.

    With a limit, a withheld day keeps what was published before it, so what reads events may differ.
    """
    with TemporaryDirectory() as scratch:
        piecewise, at_once = (
            Place(Path(scratch) / name, CONTRACT + LIMIT if limited else CONTRACT) for name in ("a", "b")
        )
        for place in (piecewise, at_once):
            place.folder.mkdir()
            for number in range(DAYS):
                place.drop(number, [])
        for (number, rows), by_sensor, built in arrivals:
            piecewise.drop(number, rows)
            at_once.drop(number, rows)
            if by_sensor:
                landed = START + timedelta(days=number)
                for between in as_ranges(touched_by(landed, LATE, piecewise.built.source.days)):
                    piecewise.built.run_source(between)
                piecewise.settle()
            elif built:
                piecewise.built.run_source(
                    (START + timedelta(days=built[0]), START + timedelta(days=built[1]))
                )
        for first, last in repeats:
            piecewise.built.run_source((START + timedelta(days=first), START + timedelta(days=last)))
        piecewise.settle()
        at_once.built.run_source(EVERYTHING)
        at_once.settle()
        compared = list(KEYS) if not piecewise.withheld() else ["raw", "events", "quarantine", "withheld"]
        found, expected = piecewise.hashes(), at_once.hashes()
        assert {name: found[name] for name in compared} == {name: expected[name] for name in compared}
