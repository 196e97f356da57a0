"""Alerts: what a person has to know, told once, wherever it is asked for, and always in a log file.

Where they go is set in the environment. ``ML_ASSETS_ALERTS`` names services that Apprise knows (Slack, Teams, Telegram,
PagerDuty and a hundred more) by its URLs, separated by spaces. ``ML_ASSETS_WEBHOOK`` is a URL that takes a POST of JSON,
``ML_ASSETS_SMTP`` a mail server as ``smtp://user:password@host:port`` (``smtps://`` for TLS from the start), with
``ML_ASSETS_ALERT_FROM`` and ``ML_ASSETS_ALERT_TO``. The log file is ``data/alerts.jsonl``, one JSON object a line.
"""

import fcntl
import json
import logging
import os
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote, urlsplit

from ml_assets.instance import clock
from ml_assets.instance.home import data

CHANNELS = ALERTS, WEBHOOK, SMTP = "ML_ASSETS_ALERTS", "ML_ASSETS_WEBHOOK", "ML_ASSETS_SMTP"
SENDER, RECEIVER = "ML_ASSETS_ALERT_FROM", "ML_ASSETS_ALERT_TO"
AGAIN = timedelta(hours=24)
"""After this long the same alert is told again."""
SECONDS = 10
"""How long a webhook or a mail server may take."""
EXCEPTION = "Socket Exception: "
"""So begins a line of Apprise's about what was raised."""


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
    now = clock.now()
    with _log() as lines:
        if told := _told(lines, alert.key, now):
            return f"told already at {told}"
        said = {"at": now.isoformat(), **_body(alert)}
        sent = dict(_channels(said))
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
        one["at"]
        for one in found
        if one["key"] == key and abs(now - datetime.fromisoformat(one["at"])) < AGAIN
    ]
    return recent[-1] if recent else None


def _channels(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each channel that is set, and what it says of the alert; an error is told in the log, where the alert is too."""
    for name, variable, tell in (("webhook", WEBHOOK, _post), ("email", SMTP, _mail)):
        if os.environ.get(variable):
            yield name, _try(lambda tell=tell: tell(said), variable)  # type: ignore[misc]
    if os.environ.get(ALERTS):
        yield from _services(said)


def _try(tell: Callable[[], str], variable: str) -> str:
    """What a channel says, or why it didn't take it; never the URL in the variable, which may hold a secret."""
    try:
        return tell()
    except (OSError, KeyError) as error:
        return f"{type(error).__name__}: {error}".replace(os.environ[variable], variable)
    except Exception as error:
        return f"{type(error).__name__}: what {variable} says can't be used"


def _post(said: Mapping[str, Any]) -> str:
    """POST the alert itself, as JSON: an automaton reads it. Apprise's ``json://`` has a body of its own."""
    body = json.dumps(said, default=str).encode()
    request = urllib.request.Request(
        os.environ[WEBHOOK], data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        return f"status {response.status}"


def _mail(said: Mapping[str, Any]) -> str:
    from apprise import Apprise, LogCapture

    server = urlsplit(os.environ[SMTP])
    mode = "ssl" if server.scheme == "smtps" else "starttls" if server.username else "insecure"
    settings = {
        "schema": "mailto",
        "host": server.hostname or "localhost",
        "smtp_host": server.hostname or "localhost",
        "port": server.port or (465 if mode == "ssl" else 25),
        "user": unquote(server.username or ""),
        "password": unquote(server.password or ""),
        "from_addr": os.environ[SENDER],
        "targets": os.environ[RECEIVER],
        "secure_mode": mode,
        "verify": False,  # A mail server within the house rarely has a certificate that the world trusts.
        "format": "text",
        "cto": SECONDS,
    }
    with LogCapture(level=logging.DEBUG, fmt="%(message)s") as reasons:
        service = Apprise.instantiate(settings)
        taken = service and service.notify(title=_title(said), body=_text(said))
    return f"to {os.environ[RECEIVER]}" if taken else _cause(reasons.getvalue())


def _cause(reasons: str) -> str:
    """What the mail server or the way to it said, of all that Apprise says about an email."""
    said = [line for line in reasons.splitlines() if line.startswith(EXCEPTION)]
    return said[-1].removeprefix(EXCEPTION) if said else " ".join(reasons.split())


def _services(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Tell every service that the Apprise URLs name: its name, and whether it took the alert, or why not.

    What a library says at length is not repeated: it may have tokens in it.
    """
    from apprise import Apprise, LogCapture, NotifyBase

    def tell(service: NotifyBase) -> str:
        with LogCapture(level=logging.WARNING, fmt="%(message)s") as reasons:
            taken = service.notify(title=_title(said), body=_text(said))
        return "taken" if taken else " ".join(reasons.getvalue().split())

    services = Apprise()
    with LogCapture(level=logging.WARNING):
        known = services.add(os.environ[ALERTS])
    if not known:
        yield ALERTS, "one of its URLs is none that Apprise knows: https://appriseit.com/services"
    for service in services:
        yield str(service.service_name), _try(lambda service=service: tell(service), ALERTS)  # type: ignore[misc]


def _title(said: Mapping[str, Any]) -> str:
    return f"ml_assets: {said['title']}"


def _text(said: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in said.items())
