"""A year of three sources as one backfill, started by the mutation the UI sends, watched to its end."""

import gzip
import json
import time
import urllib.request
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from ml_assets.lake import Lake, connect
from ml_assets.landing.tables import SourceTables
from ml_assets_tests import visits
from ml_assets_tests.end_to_end.conftest import Home, make_home, serving

pytestmark = [pytest.mark.end_to_end, pytest.mark.proof, pytest.mark.timeout(900)]

FIRST = date(2024, 1, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(366)]
SOURCES = ("north", "south", "web")
ASSETS = ("raw", "events", "quarantine")
BAD = date(2024, 5, 17)
"""A day of the source ``web`` whose file can't be read."""

SENSORS = """
query Sensors($repository: RepositorySelector!) {
  sensorsOrError(repositorySelector: $repository) { ... on Sensors { results { name id sensorState { id } } } }
}
"""
STOP = """
mutation Stop($id: String!) { stopSensor(id: $id) { __typename ... on PythonError { message } } }
"""
LAUNCH = """
mutation LaunchPartitionBackfill($backfillParams: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfillParams) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
WATCH = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill {
      status
      error { message }
      assetBackfillData {
        assetBackfillStatuses {
          ... on AssetPartitionsStatusCounts {
            assetKey { path } numPartitionsTargeted numPartitionsMaterialized numPartitionsFailed
          }
        }
      }
    }
  }
}
"""


def write_files(landing: Path) -> None:
    """A year of the three sources, each in its own format; one file of ``web`` is broken."""
    for on in DAYS:
        rows = visits.visits_of(on)
        visits.write(landing / "north" / f"{on}.parquet", rows)
        plain = [{k: str(v).replace("+00:00", "") for k, v in row.items()} for row in rows]
        lines = [",".join(visits.SCHEMA.names), *(",".join(row.values()) for row in plain)]
        for name in ("south", "web"):
            (landing / name).mkdir(exist_ok=True)
        (landing / "south" / f"{on}.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode(), 1))
        objects = [json.dumps(row | {"visit_id": int(row["visit_id"])}) for row in plain]
        (landing / "web" / f"{on}.jsonl").write_text("\n".join(objects) + "\n")
    broken = landing / "web" / f"{BAD}.jsonl"
    broken.write_text(broken.read_text()[:-20])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    made = make_home(
        tmp_path_factory.mktemp("three"), ML_ASSETS_DEFS="ml_assets_tests.use_cases.three_sources.defs"
    )
    assert made.run("init").returncode == 0
    return made


@pytest.fixture(scope="module")
def url(home: Home) -> Iterator[str]:
    """Dagster's GraphQL endpoint, with its daemon behind it; the landing sensors are stopped."""
    with serving(home) as base:
        endpoint = f"{base}/graphql"
        where = {"repositoryName": "__repository__", "repositoryLocationName": "ml_assets"}
        found = ask(endpoint, SENSORS, {"repository": where})["sensorsOrError"]["results"]
        for sensor in found:
            if sensor["name"].endswith("_landing"):
                ask(endpoint, STOP, {"id": sensor["sensorState"]["id"]})
        yield endpoint


def ask(url: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        said = json.load(answer)
    assert "errors" not in said, said["errors"]
    return dict(said["data"])


def watch(url: str, backfill: str, seconds: float) -> dict[str, Any]:
    """Ask until it has ended; return the last answer."""
    end = time.monotonic() + seconds
    while True:
        found = ask(url, WATCH, {"id": backfill})["partitionBackfillOrError"]
        if found["status"] not in ("REQUESTED", "CANCELING", "FAILING", "COMPLETED_NO_RUNS"):
            return dict(found)
        assert time.monotonic() < end, found
        time.sleep(1)


def test_a_year_of_three_sources_as_one_backfill(home: Home, url: str) -> None:
    write_files(home.root / "data" / "landing")
    params = {
        "assetSelection": [{"path": [source, asset]} for source in SOURCES for asset in ASSETS],
        "partitionNames": [str(on) for on in DAYS],
        "tags": [],
    }
    launched = ask(url, LAUNCH, {"backfillParams": params})["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    ended = watch(url, launched["backfillId"], 780)
    assert ended["status"] == "COMPLETED_FAILED", ended
    counts = {
        "/".join(status["assetKey"]["path"]): (
            status["numPartitionsMaterialized"],
            status["numPartitionsFailed"],
        )
        for status in ended["assetBackfillData"]["assetBackfillStatuses"]
    }
    whole, but_one = (len(DAYS), 0), (len(DAYS) - 1, 1)
    expected = {f"{source}/{asset}": whole for source in SOURCES for asset in ASSETS}
    assert counts == expected | {"web/events": but_one}
    lake = Lake(str(home.root / "data" / "lake"))
    with connect() as con:
        for source in SOURCES:
            events = SourceTables.of(lake, source).events.read(con)
            found = dict(events.aggregate("event_date, count(*)", "event_date").fetchall())
            bad = {BAD} if source == "web" else set()
            assert found == {on: len(visits.visits_of(on)) for on in DAYS if on not in bad}
