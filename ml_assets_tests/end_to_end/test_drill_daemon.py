"""Dagster and its daemon alone with an incident: files land, and nobody lays a hand on anything."""

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import date

import pytest

from ml_assets.lake import Lake, connect
from ml_assets.registry.mlflow_registry import Registry
from ml_assets.registry.promotion_log import ChampionOnRecord, champion_on_record
from ml_assets_tests import visits
from ml_assets_tests.end_to_end.conftest import Home, make_home, serving
from ml_assets_tests.places import redeclared
from ml_assets_tests.tables import table_of

pytestmark = [pytest.mark.end_to_end, pytest.mark.proof, pytest.mark.timeout(1200)]

LANDED, WEEK_OVER, LAST = 70, 76, 83
"""The days landed before, those that make the first cohort mature, and those that make the next."""
FAILED = "{ runsOrError(filter: {statuses: [FAILURE]}) { ... on Runs { results { runId jobName tags { key value } } } } }"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The mini use case with a champion of 2024-03-04, which no age renews meanwhile."""
    root = tmp_path_factory.mktemp("daemon") / "home"
    declared = redeclared(
        root.parent / "ageless", {"churn/defs.yaml": ("max_age_days: 14", "max_age_days: 365")}
    )
    path = os.pathsep.join(filter(None, [str(declared.parent), os.environ.get("PYTHONPATH")]))
    landing = str(root / "landing")
    made = make_home(root, ML_ASSETS_DEFS=declared.name, PYTHONPATH=path, ML_ASSETS_MINI_LANDING=landing)
    visits.land(root / "landing", visits.START, visits.day(LANDED))
    done = made.run("materialize", "--cutoffs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(scope="module")
def url(home: Home) -> Iterator[str]:
    """Dagster's GraphQL endpoint, with the daemon behind it and every sensor running."""
    with serving(home) as base:
        yield f"{base}/graphql"


def ask(url: str, query: str) -> dict[str, dict[str, list[dict[str, object]]]]:
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        said = json.load(answer)
    assert "errors" not in said, said["errors"]
    return dict(said["data"])


def with_few_left(number: int) -> list[dict[str, object]]:
    """The visits of a day when three in five stay away, the regulars too."""
    rows = visits.visits_of(visits.day(number))
    return [row for row in rows if row["visitor_id"] % 5 >= 3 or row["visitor_id"] == 1]


def newest_snapshot(home: Home) -> date:
    """The newest as_of whose features are there."""
    with connect() as con:
        snapshot = table_of(Lake(str(home.root / "data" / "lake")), "visitor_features/snapshot").read(con)
        return snapshot.aggregate("max(as_of)").fetchall()[0][0]  # type: ignore[no-any-return]


def champion(home: Home) -> ChampionOnRecord:
    with connect() as con:
        promotions = table_of(Lake(str(home.root / "data" / "lake")), "churn/promotions")
        found = champion_on_record(con, promotions, "churn")
    assert found is not None
    return found


def wait_for(url: str, what: Callable[[], bool]) -> None:
    """Wait until it is so; where it isn't in the end, show the failed runs."""
    end = time.monotonic() + 500
    while not what():
        assert time.monotonic() < end, ask(url, FAILED)
        time.sleep(5)


def test_a_shift_ends_in_a_new_champion_with_no_hand_on_it(home: Home, url: str) -> None:
    first = champion(home)
    for numbers in (range(LANDED + 1, WEEK_OVER + 1), range(WEEK_OVER + 1, LAST + 1)):
        for number in numbers:
            visits.write(home.root / "landing" / f"{visits.day(number)}.parquet", with_few_left(number))
        reached = visits.day(numbers[-1] + 1)
        wait_for(url, lambda reached=reached: newest_snapshot(home) == reached)  # type: ignore[misc]
    wait_for(url, lambda: champion(home) != first)
    assert champion(home).cutoff > first.cutoff
    tags = Registry.below(home.root / "data").version("churn", champion(home).version).tags
    assert tags["ml_assets/evidence"]
    assert tags["ml_assets/trigger"] in ("drift", "performance")
