import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import dagster as dg
import pytest

from ml_assets.components.alerts import alerts_file, run_failures
from ml_assets.definitions import resources
from ml_assets_tests.components.house import SOURCE, House, alerts_in


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The URL of a server on this machine, and what was posted to it."""
    posted: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append({"type": self.headers["Content-Type"], "alert": json.loads(body)})
            self.send_response(500 if self.path == "/broken" else 200)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", posted
        server.shutdown()
        thread.join()


@pytest.fixture
def failed(house: House) -> tuple[House, dg.ExecuteInProcessResult]:
    """A run that failed because nothing has landed."""
    result = house.run(SOURCE, 0, 4, tags={"ml_assets/request": "visits/landing:1"})
    assert not result.success
    return house, result


def report(house: House, result: dg.ExecuteInProcessResult) -> None:
    """Let the failure sensor see the run, as the daemon does."""
    run = house.instance.get_run_by_id(result.run_id)
    assert run is not None
    (event,) = [e for e in result.all_events if e.event_type_value == "PIPELINE_FAILURE"]
    with dg.build_sensor_context(
        instance=house.instance, repository_def=house.defs.get_repository_def(), resources=resources()
    ) as base:
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failures",
            dagster_event=event,
            dagster_instance=house.instance,
            dagster_run=run,
            context=base,
        ).for_run_failure()
        run_failures(context)


def test_without_a_webhook_the_alert_is_a_line_of_the_log_file(
    failed: tuple[House, dg.ExecuteInProcessResult],
) -> None:
    house, result = failed
    report(house, result)
    (alert,) = alerts_in(alerts_file())
    assert alerts_file() == house.home / "data" / "alerts.jsonl"
    assert alert["run"] == result.run_id
    assert alert["assets"] == sorted(SOURCE)
    assert alert["partitions"] == {
        "asset_partition_range_start": "2024-01-01",
        "asset_partition_range_end": "2024-01-05",
    }
    assert alert["reasons"] == {"ml_assets/request": "visits/landing:1"}
    assert f"the landing folder {house.landing} does not exist; land files there" in alert["message"]
    assert "Traceback" not in alert["message"]
    assert alert["next"].startswith(f"open /runs/{result.run_id} in the UI")


def test_a_second_alert_is_a_second_line(failed: tuple[House, dg.ExecuteInProcessResult]) -> None:
    report(*failed)
    report(*failed)
    assert len(alerts_in(alerts_file())) == 2


def test_the_webhook_gets_the_alert(
    failed: tuple[House, dg.ExecuteInProcessResult],
    webhook: tuple[str, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, posted = webhook
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", f"{url}/alerts")
    report(*failed)
    ((sent),) = posted
    assert sent["type"] == "application/json"
    assert sent["alert"]["run"] == failed[1].run_id
    assert "land files there" in sent["alert"]["message"]
    assert not alerts_file().exists()


@pytest.mark.parametrize("where", ["broken", "down"])
def test_an_alert_the_webhook_does_not_take_is_kept_with_the_reason(
    failed: tuple[House, dg.ExecuteInProcessResult],
    webhook: tuple[str, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    broken = f"{webhook[0]}/broken"
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", broken if where == "broken" else "http://127.0.0.1:9/alerts")
    report(*failed)
    (alert,) = alerts_in(alerts_file())
    assert alert["run"] == failed[1].run_id
    assert ("HTTP Error 500" if where == "broken" else "refused") in alert["webhook_error"]


@pytest.mark.parametrize("url", ["not a url", "ftp://nowhere.invalid/x"])
def test_a_wrong_webhook_loses_no_alert(
    failed: tuple[House, dg.ExecuteInProcessResult], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", url)
    report(*failed)
    (alert,) = alerts_in(alerts_file())
    assert alert["webhook_error"]
