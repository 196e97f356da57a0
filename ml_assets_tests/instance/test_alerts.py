import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ml_assets.instance.alerts import Alert, alerts_file, send

ALERT = Alert(
    "lapse: too old", "lapse needs a person", "It is too old.", "look at it", {"model": "lapse", "version": 3}
)


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


@contextmanager
def mail_server() -> Iterator[tuple[int, list[str]]]:
    """The port of a mail server on this machine, and what was said to it."""
    said: list[str] = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb") as lines:

            def answer(text: str) -> None:
                lines.write(f"{text}\r\n".encode())
                lines.flush()

            answer("220 here")
            in_data = False
            for line in lines:
                text = line.decode().rstrip()
                said.append(text)
                if in_data:
                    in_data = text != "."
                    if not in_data:
                        answer("250 taken")
                elif text.lower() == "data":
                    in_data = True
                    answer("354 go on")
                else:
                    answer("221 bye" if text.lower() == "quit" else "250 yes")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, args=[listener], daemon=True)
        thread.start()
        yield listener.getsockname()[1], said
        thread.join(timeout=5)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    for name in ("ML_ASSETS_ALERTS", "ML_ASSETS_WEBHOOK", "ML_ASSETS_SMTP"):
        monkeypatch.delenv(name, raising=False)


def told() -> list[dict[str, Any]]:
    return [json.loads(line) for line in alerts_file().read_text().splitlines()]


def test_an_alert_is_a_line_of_the_log_file() -> None:
    assert send(ALERT) == f"log {alerts_file()}"
    (line,) = told()
    assert datetime.fromisoformat(line.pop("at")) <= datetime.now(tz=UTC)
    assert line == {
        "key": "lapse: too old",
        "title": "lapse needs a person",
        "message": "It is too old.",
        "model": "lapse",
        "version": 3,
        "next": "look at it",
        "sent": {},
    }


def test_the_same_alert_is_told_once_a_day() -> None:
    send(ALERT)
    assert send(ALERT).startswith("told already at ")
    send(replace(ALERT, key="lapse: broken"))
    assert [line["key"] for line in told()] == ["lapse: too old", "lapse: broken"]
    for away in (timedelta(hours=-25), timedelta(days=1_000)):
        long_ago_or_ahead = (datetime.now(tz=UTC) + away).isoformat()
        alerts_file().write_text(json.dumps(told()[0] | {"at": long_ago_or_ahead}) + "\n")
        assert send(ALERT).startswith("log "), "a clock that was ahead silences nothing for years"
        assert len(told()) == 2


def test_the_webhook_gets_the_alert(
    webhook: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, posted = webhook
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", f"{url}/alerts")
    assert send(ALERT).endswith("; webhook: status 200")
    send(ALERT)
    ((sent),) = posted
    assert sent["type"] == "application/json"
    (line,) = told()
    assert sent["alert"] == {name: value for name, value in line.items() if name != "sent"}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("BROKEN", "HTTP Error 500"),
        ("http://127.0.0.1:9/alerts", "refused"),
        ("not a url", "ValueError: what ML_ASSETS_WEBHOOK says can't be used"),
        ("http://127.0.0.1:9/to ken", "InvalidURL: what ML_ASSETS_WEBHOOK says can't be used"),
        ("ftp://nowhere.invalid/x", "URLError"),
    ],
)
def test_an_alert_the_webhook_does_not_take_is_in_the_log_with_the_reason(
    webhook: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", f"{webhook[0]}/broken" if url == "BROKEN" else url)
    assert said in send(ALERT)
    (line,) = told()
    assert line["message"] == "It is too old."
    assert said in line["sent"]["webhook"]
    assert url not in alerts_file().read_text(), "it may hold a secret"


def test_an_email_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as (port, said):
        monkeypatch.setenv("ML_ASSETS_SMTP", f"smtp://127.0.0.1:{port}")
        monkeypatch.setenv("ML_ASSETS_ALERT_FROM", "ml_assets@example.org")
        monkeypatch.setenv("ML_ASSETS_ALERT_TO", "oncall@example.org")
        assert send(ALERT).endswith("; email: to oncall@example.org")
    assert "Subject: ml_assets: lapse needs a person" in said
    assert {"To: oncall@example.org", "message: It is too old.", "next: look at it"} <= set(said)


def test_an_email_goes_to_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as (port, said):
        monkeypatch.setenv("ML_ASSETS_SMTP", f"smtp://127.0.0.1:{port}")
        monkeypatch.setenv("ML_ASSETS_ALERT_FROM", "ml_assets@example.org")
        monkeypatch.setenv("ML_ASSETS_ALERT_TO", "Ann <ann@example.org>, bob@example.org")
        send(ALERT)
    assert {"rcpt TO:<ann@example.org>", "rcpt TO:<bob@example.org>"} <= set(said)


def test_addresses_that_are_none_lose_no_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_SMTP", "smtp://127.0.0.1:9")
    monkeypatch.setenv("ML_ASSETS_ALERT_FROM", "nobody")
    monkeypatch.setenv("ML_ASSETS_ALERT_TO", "oncall@example.org")
    send(ALERT)
    assert "nobody" in told()[0]["sent"]["email"]


def test_a_service_that_breaks_loses_no_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> bool:
        raise RuntimeError("with token1 in it")

    monkeypatch.setattr("apprise.plugins.custom_json.NotifyJSON.send", broken)
    monkeypatch.setenv("ML_ASSETS_ALERTS", "json://127.0.0.1/token1 xml://127.0.0.1:9/token2")
    send(ALERT)
    sent = told()[0]["sent"]
    assert sent["JSON"] == "RuntimeError: what ML_ASSETS_ALERTS says can't be used"
    assert sent["XML"].startswith("A Connection error occurred")
    assert "token" not in alerts_file().read_text()


def test_a_mail_server_without_addresses_loses_no_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_SMTP", "smtp://127.0.0.1:9")
    monkeypatch.delenv("ML_ASSETS_ALERT_FROM", raising=False)
    send(ALERT)
    assert "KeyError: 'ML_ASSETS_ALERT_FROM'" in told()[0]["sent"]["email"]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_mail_server_that_does_not_take_it_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("ML_ASSETS_SMTP", f"{scheme}://us%40er:pass%3Aword1@127.0.0.1:9")
    monkeypatch.setenv("ML_ASSETS_ALERT_FROM", "ml_assets@example.org")
    monkeypatch.setenv("ML_ASSETS_ALERT_TO", "oncall@example.org")
    assert "refused" in send(ALERT)
    assert "refused" in told()[0]["sent"]["email"]
    assert "word1" not in alerts_file().read_text()


def test_any_service_that_apprise_knows_gets_the_alert(
    webhook: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, posted = webhook
    taking, broken = (f"{url.replace('http', 'json')}/{path}" for path in ("token1", "broken"))
    monkeypatch.setenv("ML_ASSETS_ALERTS", f"{taking} xml://127.0.0.1:9/token2 nonsense://token3")
    assert send(ALERT) == (
        f"log {alerts_file()}; ML_ASSETS_ALERTS: one of its URLs is none that Apprise knows: "
        "https://appriseit.com/services; JSON: taken; XML: A Connection error occurred sending XML notification to "
        "127.0.0.1."
    )
    (sent,) = posted
    assert sent["alert"]["title"] == "ml_assets: lapse needs a person"
    assert "message: It is too old.\n" in sent["alert"]["message"]
    monkeypatch.setenv("ML_ASSETS_ALERTS", broken)
    assert "JSON: Failed to send JSON POST notification: " in send(replace(ALERT, key="another"))
    assert [line["message"] for line in told()] == ["It is too old."] * 2
    assert "token" not in alerts_file().read_text()
