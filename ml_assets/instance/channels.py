"""The channels by which alerts leave this machine: a webhook, a mail server, and whatever service Apprise knows.

Each is set by a variable of the environment (see ``alerts``), read at every attempt. What a channel says is repeated
without its URL, which may hold a secret.
"""

import hashlib
import json
import logging
import os
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit

ALERTS, WEBHOOK, SMTP = "ML_ASSETS_ALERTS", "ML_ASSETS_WEBHOOK", "ML_ASSETS_SMTP"
CHANNELS = (ALERTS, WEBHOOK, SMTP)
SENDER, RECEIVER = "ML_ASSETS_ALERT_FROM", "ML_ASSETS_ALERT_TO"
SECONDS = 10.0
"""How long a channel may take altogether, from the look-up of its name to the last byte of its answer."""
EXCEPTION = "Socket Exception: "
"""So begins a line of Apprise's about what was raised."""


@dataclass(frozen=True)
class Delivery:
    """Whether a channel took an alert, and what it said."""

    taken: bool
    words: str


Tell = Callable[[Mapping[str, Any]], Delivery]


@dataclass(frozen=True)
class Channel:
    """One way out, by the name that stands in the log."""

    name: str
    variable: str
    _tell: Tell

    def tell(self, said: Mapping[str, Any]) -> Delivery:
        """Hand over an alert; raises nothing, and takes no longer than SECONDS."""
        outcomes: list[Delivery] = []
        thread = Thread(target=lambda: outcomes.append(self._tried(said)), daemon=True)
        thread.start()
        thread.join(SECONDS)
        return outcomes[0] if outcomes else Delivery(False, f"no answer within {SECONDS:g} s")

    def _tried(self, said: Mapping[str, Any]) -> Delivery:
        try:
            return self._tell(said)
        except (OSError, KeyError) as error:
            words = f"{type(error).__name__}: {error}".replace(
                os.environ.get(self.variable, ""), self.variable
            )
            return Delivery(False, words)
        except Exception as error:
            return Delivery(False, f"{type(error).__name__}: what {self.variable} says can't be used")


def channels() -> Iterator[Channel]:
    """Every channel that is set."""
    if os.environ.get(WEBHOOK):
        yield Channel("webhook", WEBHOOK, _post)
    if os.environ.get(SMTP):
        yield Channel("email", SMTP, _mail)
    if os.environ.get(ALERTS):
        yield from _services()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: followed, it would be a GET without the alert."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(said: Mapping[str, Any]) -> Delivery:
    """POST the alert itself, as JSON: an automaton reads it. Apprise's ``json://`` has a body of its own.

    A kill between sending and noting sends it again, with the same Idempotency-Key.
    """
    if urlsplit(os.environ[WEBHOOK]).scheme not in ("http", "https"):
        return Delivery(False, f"{WEBHOOK} is a URL that begins with http:// or https://; this one doesn't")
    body = json.dumps(said, default=str).encode()
    again = hashlib.sha256(f"{said['key']} {said['at']}".encode()).hexdigest()[:32]
    headers = {"Content-Type": "application/json", "Idempotency-Key": again}
    request = urllib.request.Request(os.environ[WEBHOOK], body, headers)
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=SECONDS) as response:
            return Delivery(True, f"status {response.status}")
    except HTTPError as error:
        with error:
            more = f"; it is elsewhere: give {WEBHOOK} that URL" if 300 <= error.code < 400 else ""
            return Delivery(False, f"status {error.code} {error.reason}{more}")


def _mail(said: Mapping[str, Any]) -> Delivery:
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
    return (
        Delivery(True, f"to {os.environ[RECEIVER]}") if taken else Delivery(False, _cause(reasons.getvalue()))
    )


def _cause(reasons: str) -> str:
    """What the mail server or the way to it said, of all that Apprise says about an email."""
    said = [line for line in reasons.splitlines() if line.startswith(EXCEPTION)]
    return said[-1].removeprefix(EXCEPTION) if said else " ".join(reasons.split())


def _services() -> Iterator[Channel]:
    """Every service that the Apprise URLs name, told apart by number where two have one name.

    What a library says at length is not repeated: it may have tokens in it.
    """
    from apprise import Apprise, LogCapture, NotifyBase

    def tell(service: NotifyBase, said: Mapping[str, Any]) -> Delivery:
        with LogCapture(level=logging.WARNING, fmt="%(message)s") as reasons:
            taken = bool(service.notify(title=_title(said), body=_text(said)))
        return Delivery(taken, "taken" if taken else " ".join(reasons.getvalue().split()))

    services = Apprise()
    with LogCapture(level=logging.WARNING):
        known = services.add(os.environ[ALERTS])
    if not known:
        unknown = "one of its URLs is none that Apprise knows: https://appriseit.com/services"
        yield Channel(ALERTS, ALERTS, lambda said: Delivery(False, unknown))
    seen: dict[str, int] = {}
    for service in services:
        name = str(service.service_name)
        seen[name] = seen.get(name, 0) + 1
        numbered = name if seen[name] == 1 else f"{name} {seen[name]}"
        yield Channel(numbered, ALERTS, partial(tell, service))


def _title(said: Mapping[str, Any]) -> str:
    return f"ml_assets: {said['title']}"


def _text(said: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in said.items())
