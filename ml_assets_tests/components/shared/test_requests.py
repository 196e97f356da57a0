import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import dagster as dg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_assets.components.shared.partitions import daily
from ml_assets.components.shared.requests import REQUEST, answer, ask, request_key, stale_days
from ml_assets.lake import Commit
from ml_assets_tests.house import between_of

START = date(2024, 1, 1)
UNFINISHED = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
FAILED = ("FAILURE", "CANCELED")


class Write(NamedTuple):
    """A commit in numbers of days; ``read`` is the upstream version it was made from."""

    first: int
    last: int
    read: int = -1


def commits(writes: Sequence[Write]) -> list[Commit]:
    """Commits, newest first as in a table's history; version 0 made the table."""
    made = [Commit(0, datetime(2024, 1, 1, tzinfo=UTC), "CREATE TABLE")]
    for version, write in enumerate(writes, start=1):
        ends = [str(START + timedelta(days=n)) for n in (write.first, write.last)]
        inputs = json.dumps({"up": write.read} if write.read >= 0 else {})
        metadata = {"first": ends[0], "last": ends[1], "inputs": inputs}
        made.append(Commit(version, datetime(2024, 1, 1, tzinfo=UTC), "WRITE", metadata))
    return made[::-1]


def slowly(
    upstream: Sequence[Write],
    downstream: Sequence[Write],
    reach: tuple[int, int],
    partitions: range,
) -> set[date]:
    """The definition of ``stale_days``, day by day."""
    touched = {n for write in upstream for n in range(write.first, write.last + 1)}
    stale = set()
    for day in partitions:
        if not touched or not min(touched) <= day + reach[1] <= max(touched):
            continue
        reads = [write.read for write in downstream if write.first <= day <= write.last]
        changes = [
            version
            for version, write in enumerate(upstream, start=1)
            for n in range(reach[0], reach[1] + 1)
            if write.first <= day + n <= write.last
        ]
        if not reads or any(version > reads[-1] for version in changes):
            stale.add(START + timedelta(days=day))
    return stale


spans = st.tuples(st.integers(0, 12), st.integers(0, 4)).map(lambda s: (s[0], s[0] + s[1]))
writes = st.lists(st.builds(lambda s, r: Write(*s, r), spans, st.integers(-1, 4)), max_size=5)
reaches = st.tuples(st.integers(-15, 0), st.integers(-3, 0)).map(lambda r: (min(r), max(r)))


@given(writes, writes, reaches, st.integers(0, 3), st.integers(5, 14))
@settings(max_examples=150, deadline=None)
def test_stale_days_are_those_of_the_definition(
    upstream: list[Write], downstream: list[Write], reach: tuple[int, int], start: int, end: int
) -> None:
    partitions = daily(START + timedelta(days=start), START + timedelta(days=end))
    found = stale_days(commits(upstream), commits(downstream), "up", reach, partitions)
    assert found == slowly(upstream, downstream, reach, range(start, end + 1))


def test_one_changed_day_makes_stale_what_reads_it() -> None:
    upstream = commits([Write(0, 9), Write(4, 4)])
    downstream = commits([Write(1, 10, read=1)])
    found = stale_days(upstream, downstream, "up", (-3, -1), daily(START, None))
    assert found == {START + timedelta(days=n) for n in (5, 6, 7)}


def test_without_upstream_nothing_is_stale() -> None:
    assert stale_days([], [], "up", (0, 0), daily(START, None)) == set()


def test_a_key_follows_from_the_facts_alone() -> None:
    assert request_key("a", {"x": START, "y": 2}) == request_key("a", {"y": 2, "x": START})
    assert request_key("a", [1]) != request_key("a", [2])
    assert request_key("a", [1]) != request_key("b", [1])


@pytest.fixture(scope="module")
def job() -> dg.JobDefinition:
    @dg.asset
    def thing() -> None: ...

    return dg.Definitions(assets=[thing]).resolve_implicit_global_asset_job_def()


def put(
    instance: dg.DagsterInstance, job: dg.JobDefinition, status: str, key: str = "thing:1"
) -> dg.DagsterRun:
    return instance.create_run_for_job(job, tags={REQUEST: key}, status=dg.DagsterRunStatus[status])


@pytest.mark.parametrize("status", [s for s in UNFINISHED if s != "QUEUED"])
def test_a_run_in_flight_means_no_request(job: dg.JobDefinition, status: str) -> None:
    with dg.instance_for_test() as instance:
        run = put(instance, job, status)
        outcome = ask(instance, "thing:1", between=None)
        assert isinstance(outcome, dg.SkipReason)
        assert outcome.skip_message == f"run {run.run_id} for thing:1 is in flight"
        assert isinstance(ask(instance, "thing:2", between=None), dg.RunRequest)


def test_a_run_that_succeeded_means_no_request_even_after_failures(job: dg.JobDefinition) -> None:
    with dg.instance_for_test() as instance:
        run = put(instance, job, "SUCCESS")
        put(instance, job, "FAILURE")
        outcome = ask(instance, "thing:1", between=None)
        assert isinstance(outcome, dg.SkipReason)
        assert outcome.skip_message == f"run {run.run_id} for thing:1 has succeeded"


def test_failures_are_tried_again_with_another_key_until_it_is_enough(job: dg.JobDefinition) -> None:
    with dg.instance_for_test() as instance:
        keys = []
        for status in (*FAILED, "FAILURE"):
            outcome = ask(instance, "thing:1", between=(START, START), tags={"why": "test"})
            assert isinstance(outcome, dg.RunRequest)
            assert between_of(outcome) == (str(START), str(START))
            assert outcome.tags["why"] == "test"
            keys.append(outcome.run_key)
            last = put(instance, job, status)
        assert keys == ["thing:1#0", "thing:1#1", "thing:1#2"]
        outcome = ask(instance, "thing:1", between=None)
        assert isinstance(outcome, dg.SkipReason)
        assert str(outcome.skip_message).startswith(
            f"3 runs for thing:1 have failed, the last is {last.run_id}: mend the cause"
        )


def test_requests_are_answered_before_reasons() -> None:
    request, reason = dg.RunRequest(run_key="a"), dg.SkipReason("because")
    both = answer([reason, request], "nothing")
    assert isinstance(both, dg.SensorResult)
    assert both.run_requests == [request]
    assert answer([reason, dg.SkipReason("also")], "nothing") == dg.SkipReason("because; also")
    assert answer([], "nothing") == dg.SkipReason("nothing")
