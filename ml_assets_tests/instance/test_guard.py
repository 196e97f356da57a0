"""What the guard lets through to Dagster's webserver, and what it refuses."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from ml_assets.instance.guard import Guard, Message

HOST = "127.0.0.1:3000"
JSON = {"content-type": "application/json"}


def answer(
    method: str, path: str, headers: Mapping[str, str], kind: str = "http", hosts: tuple[str, ...] = ()
) -> list[Message]:
    """What is sent back; an application behind the guard says 200, and accepts a WebSocket."""

    async def app(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "method": method, "path": path, "headers": pairs}
    asyncio.run(Guard(app, hosts)(scope, receive, send))
    return sent


def status(method: str, path: str, headers: Mapping[str, str], hosts: tuple[str, ...] = ()) -> int:
    return int(answer(method, path, headers, hosts=hosts)[0]["status"])


@pytest.mark.parametrize("host", [HOST, "localhost:3000", "LOCALHOST:8080", "localhost"])
def test_own_pages_and_programs_are_served(host: str) -> None:
    assert status("GET", "/assets/visits/raw", {"host": host}) == 200
    assert status("POST", "/graphql", {"host": host, **JSON}) == 200
    assert status("POST", "/graphql", {"host": host, **JSON, "origin": f"http://{host}"}) == 200
    assert (
        status("POST", "/graphql", {"host": host, "content-type": "Application/JSON; charset=utf-8"}) == 200
    )
    assert status("GET", "/graphql", {"host": host, "accept": "text/html,*/*"}) == 200, (
        "the page to try queries"
    )


@pytest.mark.parametrize(
    ("method", "path", "headers", "reason"),
    [
        ("GET", "/graphql", {"accept": "image/avif,*/*"}, "not by GET"),
        ("GET", "/graphql", {}, "not by GET"),
        ("HEAD", "/graphql", {}, "not by GET"),
        ("POST", "/graphql", {"content-type": "text/plain"}, "'text/plain'"),
        ("POST", "/graphql", {"content-type": "text/plain; x=application/json"}, "'text/plain'"),
        ("POST", "/graphql", {"content-type": "application/x-www-form-urlencoded"}, "application/json"),
        ("POST", "/report_asset_materialization/visits/raw", {}, "content type is ''"),
        ("POST", "/graphql", JSON | {"origin": "http://evil.example"}, "'http://evil.example'"),
        ("POST", "/graphql", JSON | {"origin": "http://127.0.0.1:8000"}, "'http://127.0.0.1:8000'"),
        ("POST", "/graphql", JSON | {"origin": "http://localhost:3000"}, "'http://localhost:3000'"),
        ("POST", "/graphql", JSON | {"origin": "null"}, "'null'"),
        ("POST", "/graphql", JSON | {"origin": "http://["}, "'http://['"),
        ("OPTIONS", "/graphql", {"origin": "http://evil.example"}, "'http://evil.example'"),
        ("GET", "/logs/run/compute.err", {"origin": "http://evil.example"}, "'http://evil.example'"),
        ("POST", "/graphql", JSON | {"host": "evil.example:3000"}, "set ML_ASSETS_HOSTS"),
        ("GET", "/", {"host": "127.0.0.1.evil.example"}, "set ML_ASSETS_HOSTS"),
        ("GET", "/", {"host": "["}, "set ML_ASSETS_HOSTS"),
        ("GET", "/", {"host": ""}, "set ML_ASSETS_HOSTS"),
    ],
)
def test_what_another_page_may_have_sent_is_refused(
    method: str, path: str, headers: dict[str, str], reason: str
) -> None:
    start, body = answer(method, path, {"host": HOST} | headers)
    assert start["status"] == 403
    assert reason in body["body"].decode()


@pytest.mark.parametrize(
    ("headers", "done"),
    [
        ({}, "websocket.accept"),
        ({"origin": f"http://{HOST}"}, "websocket.accept"),
        ({"origin": "http://evil.example"}, "websocket.close"),
        ({"host": "evil.example", "origin": "http://evil.example"}, "websocket.close"),
    ],
)
def test_a_websocket_is_for_own_pages_and_programs(headers: dict[str, str], done: str) -> None:
    (message,) = answer("", "/graphql", {"host": HOST} | headers, "websocket")
    assert message["type"] == done


def test_a_proxy_is_named() -> None:
    behind = {"host": "assets.example", "origin": "https://assets.example"} | JSON
    assert status("POST", "/graphql", behind) == 403
    assert status("POST", "/graphql", behind, ("assets.example",)) == 200
    rewritten = behind | {"host": HOST}
    assert status("POST", "/graphql", rewritten) == 403
    assert status("POST", "/graphql", rewritten, ("assets.example",)) == 200


def test_no_other_page_shows_the_ui_in_a_frame() -> None:
    start, _ = answer("GET", "/", {"host": HOST})
    assert (b"x-frame-options", b"SAMEORIGIN") in start["headers"]
