"""A page of another site, open in the same browser as Dagster's UI, starts nothing; the UI itself does."""

import json
import re
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from ml_assets_tests.end_to_end.conftest import make_home, serving
from ml_assets_tests.house import MINI

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow, pytest.mark.browser]

LAUNCH = """mutation { launchRun(executionParams: {
  selector: {repositoryName: "__repository__", repositoryLocationName: "ml_assets", jobName: "__ASSET_JOB",
             assetSelection: [{path: ["visits", "raw"]}], assetCheckSelection: []},
  runConfigData: "{}",
  executionMetadata: {tags: [{key: "dagster/partition", value: "2024-01-01"}]}
}) { __typename ... on PythonError { message } } }"""
RUNS = "{ runsOrError { ... on Runs { results { id } } } }"
REPORTED = '{ assetNodes(assetKeys: [{path: ["visits", "raw"]}]) { assetMaterializations { runId } } }'
ATTEMPTS = """async ([base, launch]) => {
  const json = JSON.stringify({query: launch})
  const asked = `${base}/graphql?query=${encodeURIComponent(launch)}`
  const post = (url, more) => fetch(url, {method: "POST", mode: "no-cors", ...more}).catch(() => null)
  await new Promise(done => { const it = new Image(); it.onload = it.onerror = done; it.src = asked })
  await fetch(asked, {mode: "no-cors"})
  await post(asked, {body: ""})
  await post(asked, {body: new URLSearchParams({query: launch})})
  await post(`${base}/graphql`, {body: json, headers: {"Content-Type": "text/plain; x=application/json"}})
  await post(`${base}/graphql`, {body: json, mode: "cors", headers: {"Content-Type": "application/json"}})
  await post(`${base}/report_asset_materialization/visits/raw`, {})
}"""
WINDOW = {"width": 1400, "height": 900}
CONNECTS = """base => new Promise(done => {
  const socket = new WebSocket(base.replace("http", "ws") + "/graphql", "graphql-ws")
  socket.onopen = () => done(true)
  socket.onerror = socket.onclose = () => done(false)
})"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Dagster's URL, over the mini use case with nothing landed."""
    root = tmp_path_factory.mktemp("foreign") / "home"
    home = make_home(root, ML_ASSETS_DEFS=MINI, ML_ASSETS_MINI_LANDING=str(root / "landing"))
    (root / "landing").mkdir(parents=True)
    with serving(home) as url:
        yield url


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of another web server on this machine, with an empty page."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "index.html").write_text("<!doctype html><title>kittens</title>")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def ask(base: str, query: str) -> Any:
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"{base}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


def test_another_sites_page_starts_nothing(base: str, elsewhere: int, page: "Page") -> None:
    for origin in (f"http://evil.example:{elsewhere}", f"http://localhost:{elsewhere}"):
        page.goto(origin)
        assert page.title() == "kittens"
        page.evaluate(ATTEMPTS, [base, LAUNCH])
        assert page.evaluate(CONNECTS, base) is False
    assert ask(base, RUNS)["runsOrError"]["results"] == []
    assert ask(base, REPORTED)["assetNodes"] == [{"assetMaterializations": []}]


def test_a_name_that_was_bent_to_this_machine_is_refused(base: str, page: "Page") -> None:
    answer = page.goto(f"http://evil.example:{urlsplit(base).port}/")
    assert answer is not None
    assert answer.status == 403
    assert "set ML_ASSETS_HOSTS" in answer.text()


def test_the_ui_itself_launches_a_run(base: str, page: "Page") -> None:
    page.set_viewport_size(WINDOW)
    page.goto(f"{base}/assets/visits/raw")
    assert page.evaluate(CONNECTS, base) is True
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("button", name="Latest").click()
    page.get_by_role("button", name=re.compile("^Launch")).last.click()
    page.get_by_text("Launched run").wait_for()
    assert len(ask(base, RUNS)["runsOrError"]["results"]) == 1
