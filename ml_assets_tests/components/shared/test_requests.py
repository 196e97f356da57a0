from datetime import date

import dagster as dg
import pytest

from ml_assets.components.shared.requests import REQUEST, answer, ask, request_key
from ml_assets_tests.house import between_of

START = date(2024, 1, 1)
UNFINISHED = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
FAILED = ("FAILURE", "CANCELED")


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
