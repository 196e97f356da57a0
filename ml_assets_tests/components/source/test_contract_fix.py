"""A file that the contract refuses, and the contract corrected afterwards: the file is read again, by itself."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from ml_assets.operations.materialize import Phase, run_phase
from ml_assets_tests import visits
from ml_assets_tests.house import SOURCE, House, between_of, failures, opened, scratch_defs, span

BAD = 1
SENSOR = "visits_landing"
COUPON = "      - {name: coupon, logicalType: string}\n      - name: occurred_at\n"


@pytest.fixture(scope="module")
def refused_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Days 0 to 2 of the mini use case; the file of day 1 has a column that its contract doesn't know."""
    home = tmp_path_factory.mktemp("refused") / "home"
    with opened(home) as made:
        made.land(0, 2)
        schema = visits.SCHEMA.append(pa.field("coupon", pa.string()))
        rows = [row | {"coupon": "X1"} for row in visits.visits_of(visits.day(BAD))]
        visits.write(made.path(BAD), rows, schema)
        [message] = failures(made.run(SOURCE, 0, 2)).values()
        assert "column 'coupon' is new" in message
    return home


@pytest.fixture
def refused(refused_home: Path, tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path / "home", template=refused_home) as made:
        yield made


def under(house: House, folder: Path, old: str, new: str) -> House:
    """The same project after its contract was changed."""
    return replace(house, module=scratch_defs(folder, {"visits/contract.yaml": (old, new)}))


@pytest.fixture
def corrected(refused: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.syspath_prepend(tmp_path)
    return under(refused, tmp_path / f"corrected_{tmp_path.name}", "      - name: occurred_at\n", COUPON)


def coupons(house: House, table: str) -> dict[int, set[object]]:
    """By number of the day, what stands in the new column."""
    day = "landing_date" if table.endswith("raw") else "event_date"
    found: dict[int, set[object]] = {}
    for on, coupon in house.rows(table, None, f"{day}, coupon"):
        found.setdefault((on - visits.START).days, set()).add(coupon)
    return found


def test_the_sensor_asks_for_it_once_and_older_rows_have_no_value(corrected: House) -> None:
    cursor = corrected.tick(SENSOR).cursor
    request = corrected.tick(SENSOR, cursor).only
    assert between_of(request) == span(BAD, BAD)
    assert corrected.launch(request).success
    assert coupons(corrected, "visits/raw") == {0: {None}, 1: {"X1"}, 2: {None}}
    assert coupons(corrected, "visits/events") == {0: {None}, 1: {"X1"}, 2: {None}}
    assert not corrected.tick(SENSOR, cursor).requests
    assert corrected.run(SOURCE, 0, 2).success


def test_rows_are_built_and_checked_before_any_file_has_the_column(corrected: House) -> None:
    keys = [
        spec.key
        for checks in corrected.defs.asset_checks or ()
        for spec in checks.check_specs
        if spec.asset_key == dg.AssetKey(["visits", "events"]) and spec.name != "row_count"
    ]
    whole = run_phase(corrected.defs, corrected.instance, Phase("checks", (), None, checks=tuple(keys)))
    assert whole.success, whole.messages
    assert corrected.run(SOURCE[1:], 2).success
    assert coupons(corrected, "visits/events")[2] == {None}


def test_a_file_that_is_refused_again_is_asked_for_once(
    refused: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    assert not refused.tick(SENSOR).requests
    other = under(refused, tmp_path / f"other_{tmp_path.name}", "made-up", "invented")
    request = other.tick(SENSOR).only
    assert between_of(request) == span(BAD, BAD)
    assert not other.launch(request).success
    assert not other.tick(SENSOR).requests
