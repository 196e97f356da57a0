import errno
import json
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from ml_assets.instance import channels, clock, outbox
from ml_assets.instance.alerts import Alert, alerts_file, deliver, send

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
            again = self.headers["Idempotency-Key"]
            posted.append({"type": self.headers["Content-Type"], "again": again, "alert": json.loads(body)})
            self.send_response({"/broken": 500, "/moved": 302}.get(self.path, 200))
            if self.path == "/moved":
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self) -> None:
            posted.append({"type": "GET"})
            self.send_response(200)
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


def moment(at: datetime) -> AbstractContextManager[None]:
    return clock.at(lambda: at)


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
        "told": True,
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
    assert sent["alert"] == {name: value for name, value in line.items() if name not in ("sent", "told")}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("BROKEN", "status 500"),
        ("http://127.0.0.1:9/alerts", "refused"),
        ("not a url", "begins with http:// or https://"),
        ("http://127.0.0.1:9/to ken", "InvalidURL: what ML_ASSETS_WEBHOOK says can't be used"),
        ("ftp://nowhere.invalid/x", "begins with http:// or https://"),
        ("file:///etc/hostname", "begins with http:// or https://"),
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


def test_a_webhook_that_was_down_is_asked_again(
    webhook: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, posted = webhook
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", f"{url}/broken")
    with moment(datetime(2024, 5, 1, tzinfo=UTC)):
        assert "status 500" in send(ALERT)
        assert send(ALERT).startswith("held up since 2024-05-01T00:00:00+00:00")
        assert deliver() == {}, "it is not due yet"
    with moment(datetime(2024, 5, 1, 0, 1, tzinfo=UTC)):
        assert "status 500" in deliver()[ALERT.key]
    with moment(datetime(2024, 5, 1, 0, 2, tzinfo=UTC)):
        assert deliver() == {}, "the pause is twice as long"
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", url)
    with moment(datetime(2024, 5, 1, 0, 3, tzinfo=UTC)):
        assert deliver()[ALERT.key].endswith("webhook: status 200")
        assert deliver() == {}
        assert send(ALERT).startswith("told already at ")
    last = posted[-1]["alert"]
    assert last["message"] == "It is too old."
    assert last["held_up"].startswith("2 attempts since 2024-05-01T00:00:00+00:00; webhook: status 500")
    assert [line["told"] for line in told()] == [False, True]


def test_only_the_channel_that_did_not_take_it_is_asked_again(
    webhook: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, posted = webhook
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", url)
    monkeypatch.setenv("ML_ASSETS_ALERTS", "json://127.0.0.1:9/token1 json://127.0.0.1:9/token2")
    send(ALERT)
    services = {name: f"{url.replace('http', 'json')}/{name}" for name in ("first", "broken")}
    monkeypatch.setenv("ML_ASSETS_ALERTS", " ".join(services.values()))
    with moment(clock.now() + timedelta(minutes=1)):
        deliver()
    monkeypatch.setenv("ML_ASSETS_ALERTS", services["first"] + " " + services["first"])
    with moment(clock.now() + timedelta(minutes=4)):
        deliver()
    assert [set(line["sent"]) for line in told()] == [
        {"webhook", "JSON", "JSON 2"},
        {"JSON", "JSON 2"},
        {"JSON 2"},
    ]
    assert len(posted) == 1 + 2 + 1


def test_an_alert_is_given_up_after_a_week_and_told_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", "http://127.0.0.1:9/")
    send(ALERT)
    with moment(clock.now() + timedelta(days=7)):
        assert ALERT.key in deliver()
        assert "refused" in send(ALERT)
    assert [line["told"] for line in told()] == [False, False, False]


def test_what_a_clock_that_was_ahead_has_put_off_is_tried(
    webhook: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", "http://127.0.0.1:9/")
    with moment(clock.now() + timedelta(days=1000)):
        send(ALERT)
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", webhook[0])
    assert "status 200" in deliver()[ALERT.key]


def test_a_redirect_is_not_followed(
    webhook: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, posted = webhook
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", f"{url}/moved")
    assert "status 302 Found; it is elsewhere: give ML_ASSETS_WEBHOOK that URL" in send(ALERT)
    assert [one["type"] for one in posted] == ["application/json"]


def test_a_webhook_that_drips_is_left_and_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "SECONDS", 0.6)
    asked, over = Event(), Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            asked.set()
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not over.wait(0.1):
                connection.sendall(b"X: y\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        dripping = Thread(target=drip, args=[listener], daemon=True)
        dripping.start()
        monkeypatch.setenv("ML_ASSETS_WEBHOOK", f"http://127.0.0.1:{listener.getsockname()[1]}/")
        sending = Thread(target=send, args=[ALERT])
        sending.start()
        assert asked.wait(5)
        assert send(ALERT).startswith("held up since "), "no lock is held while the other sends"
        assert sending.is_alive()
        sending.join(5)
        over.set()
        dripping.join(5)
    assert told()[0]["sent"] == {"webhook": "no answer within 0.6 s"}


@pytest.mark.parametrize(
    "cut", ['{"at": "2024-05-01T00:00:00+00:00", "key": "lapse: a', "\0\0\0", "[]", '{"at": 3}']
)
def test_a_line_that_was_cut_ends_no_alerts_and_is_told(cut: str) -> None:
    send(replace(ALERT, key="before"))
    with alerts_file().open("a") as log:
        log.write(cut)
    assert send(ALERT).startswith("log ")
    assert {line["key"] for line in told()} == {"before", ALERT.key, f"alerts.jsonl was cut: {cut}"}
    (about,) = [line for line in told() if "was cut" in line["key"]]
    assert about["lines"] == [cut]
    assert send(ALERT).startswith("told already at ")
    assert len(told()) == 3


def test_a_disk_that_takes_nothing_keeps_no_alert_from_being_told(
    webhook: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    url, posted = webhook
    monkeypatch.setattr(outbox, "put", full)
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", url)
    assert send(ALERT).endswith("webhook: status 200")
    assert len(posted) == 1
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", f"{url}/broken")
    with pytest.raises(OSError, match="No space left"):
        send(replace(ALERT, key="another"))


def test_a_line_that_the_disk_does_not_take_in_full_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    send(ALERT)
    before = alerts_file().read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 600, hard))
        send(replace(ALERT, key="another", message="long " * 110))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert alerts_file().read_bytes() == before


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
    assert {"rcpt to:<ann@example.org>", "rcpt to:<bob@example.org>"} <= {line.lower() for line in said}


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


def test_an_alert_that_a_kill_sends_again_is_the_same_to_who_receives_it(
    webhook: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, posted = webhook
    monkeypatch.setenv("ML_ASSETS_WEBHOOK", url)
    with monkeypatch.context() as killed:
        killed.setattr(outbox, "drop", lambda key: None)
        send(ALERT)
    deliver()
    send(replace(ALERT, key="another"))
    first, again, other = (one["again"] for one in posted)
    assert first == again != other


def test_a_damaged_file_of_the_outbox_is_told_once_and_kept() -> None:
    path = outbox.folder() / f"{'a' * 32}.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"said": {"key": "lapse: too o')
    deliver()
    deliver()
    [told] = [json.loads(line) for line in alerts_file().read_text().splitlines()]
    assert "lapse: too o" in told["message"]
    assert path.with_suffix(".damaged").read_text() == '{"said": {"key": "lapse: too o'
    assert not path.exists()
