"""Alerts: what a person has to know, told once, by webhook, by email, and always in a log file.

Where they go is set in the environment: ``ML_ASSETS_WEBHOOK`` is a URL that takes a POST of JSON,
``ML_ASSETS_SMTP`` a mail server as ``smtp://user:password@host:port`` (``smtps://`` for TLS from the start), with
``ML_ASSETS_ALERT_FROM`` and ``ML_ASSETS_ALERT_TO``. The log file is ``data/alerts.jsonl``, one JSON object a line.
"""

import fcntl
import json
import os
import smtplib
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from http.client import HTTPException
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote, urlsplit

from ml_assets.instance.home import data

WEBHOOK, SMTP = "ML_ASSETS_WEBHOOK", "ML_ASSETS_SMTP"
SENDER, RECEIVER = "ML_ASSETS_ALERT_FROM", "ML_ASSETS_ALERT_TO"
AGAIN = timedelta(hours=24)
"""After this long the same alert is told again."""
SECONDS = 10
"""How long a webhook or a mail server may take."""


@dataclass(frozen=True)
class Alert:
    """Something a person has to know. Alerts with the same ``key`` are one, told once a day."""

    key: str
    title: str
    message: str
    next: str
    """What to do about it."""
    facts: Mapping[str, Any] = field(default_factory=dict)


def alerts_file() -> Path:
    """The log file: one JSON object a line."""
    return data() / "alerts.jsonl"


def send(alert: Alert) -> str:
    """Tell of an alert unless it was told within the last 24 hours; say in words where it went.

    It is written to the log file in any case, with what a webhook or mail server that didn't take it said.
    """
    now = datetime.now(tz=UTC)
    with _log() as lines:
        if told := _told(lines, alert.key, now):
            return f"told already at {told}"
        said = {"at": now.isoformat(), **_body(alert)}
        sent = {name: _try(channel, said) for name, channel in _channels()}
        lines.write(json.dumps(said | {"sent": sent}, default=str) + "\n")
    return "; ".join([f"log {alerts_file()}", *(f"{name}: {outcome}" for name, outcome in sent.items())])


def _body(alert: Alert) -> dict[str, Any]:
    return {
        "key": alert.key,
        "title": alert.title,
        "message": alert.message,
        **alert.facts,
        "next": alert.next,
    }


@contextmanager
def _log() -> Iterator[TextIO]:
    """The log file, held by this process alone."""
    path = alerts_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lines:
        fcntl.flock(lines, fcntl.LOCK_EX)
        yield lines


def _told(lines: TextIO, key: str, now: datetime) -> str | None:
    """When the alert was told within the last 24 hours, or None."""
    lines.seek(0)
    found = [json.loads(line) for line in lines if line.strip()]
    recent = [
        one["at"] for one in found if one["key"] == key and now - datetime.fromisoformat(one["at"]) < AGAIN
    ]
    return recent[-1] if recent else None


def _channels() -> Iterator[tuple[str, Any]]:
    if os.environ.get(WEBHOOK):
        yield "webhook", _post
    if os.environ.get(SMTP):
        yield "email", _mail


def _try(channel: Any, said: Mapping[str, Any]) -> str:
    """What the channel says of the alert; an error is told in the log, where the alert is too."""
    try:
        return str(channel(said))
    except (OSError, ValueError, KeyError, HTTPException, smtplib.SMTPException) as error:
        return f"{type(error).__name__}: {error}"


def _post(said: Mapping[str, Any]) -> str:
    body = json.dumps(said, default=str).encode()
    request = urllib.request.Request(
        os.environ[WEBHOOK], data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        return f"status {response.status}"


def _mail(said: Mapping[str, Any]) -> str:
    server = urlsplit(os.environ[SMTP])
    message = EmailMessage()
    message["Subject"] = f"ml_assets: {said['title']}"
    message["From"], message["To"] = os.environ[SENDER], os.environ[RECEIVER]
    message.set_content("\n".join(f"{name}: {value}" for name, value in said.items()))
    connect = smtplib.SMTP_SSL if server.scheme == "smtps" else smtplib.SMTP
    with connect(server.hostname or "localhost", server.port or 0, timeout=SECONDS) as mail:
        if server.username:
            if server.scheme != "smtps":
                mail.starttls()
            mail.login(unquote(server.username), unquote(server.password or ""))
        mail.send_message(message)
    return f"to {os.environ[RECEIVER]}"
