"""Alerts: what a person has to know, told once, wherever it is asked for, and always in a log file.

Where they go is set in the environment. ``ML_ASSETS_ALERTS`` names services that Apprise knows (Slack, Teams, Telegram,
PagerDuty and a hundred more) by its URLs, separated by spaces. ``ML_ASSETS_WEBHOOK`` is a URL that takes a POST of JSON,
``ML_ASSETS_SMTP`` a mail server as ``smtp://user:password@host:port`` (``smtps://`` for TLS from the start), with
``ML_ASSETS_ALERT_FROM`` and ``ML_ASSETS_ALERT_TO``. The log file is ``data/alerts.jsonl``, one JSON object a line.

An alert is first put into the outbox, then told, then written to the log. What a channel doesn't take stays in the
outbox and is tried again, so that nothing counts as told before it was.
"""

import fcntl
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ml_assets.instance import clock, outbox
from ml_assets.instance.channels import channels
from ml_assets.instance.home import data
from ml_assets.instance.outbox import LONGEST, Waiting

AGAIN = timedelta(hours=24)
"""After this long the same alert is told again."""
PAUSE = timedelta(minutes=1)
"""How long to wait after the first attempt; twice as long after each further one, up to LONGEST."""
GIVEN_UP = timedelta(days=7)
"""After this long an alert that a channel doesn't take is tried no more."""
PATIENCE = 20.0
"""Seconds after which no further alert is begun; a sensor's tick may take 60."""

said_of_alerts = logging.getLogger("ml_assets.alerts")


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


def logged() -> list[dict[str, Any]]:
    """What the log file says, oldest first; a line that was cut is left out."""
    return _parsed()[0]


def send(alert: Alert) -> str:
    """Tell of an alert unless it was told within the last 24 hours or is held up; say in words where it went.

    Raises OSError if no channel took it and the disk doesn't either: then it is on no record.
    """
    now = clock.now()
    waiting = _waiting(alert, now)
    try:
        with _only_one():
            _mend(now)
            if told := _told(alert.key, now):
                return f"told already at {told}"
            if held_up := outbox.find(alert.key):
                return f"held up since {held_up.said['at']}, to be tried again at {held_up.due}"
            outbox.put(waiting)
    except OSError as error:
        said_of_alerts.error("the outbox of alerts can't be written: %s", error)
        return _attempt(waiting, now)
    return deliver().get(alert.key, f"in the outbox {outbox.folder()}")


def deliver() -> dict[str, str]:
    """Tell what is in the outbox and due: by key, in words where it went."""
    try:
        with _only_one():
            _mend(clock.now())
    except OSError as error:
        said_of_alerts.error("the outbox of alerts can't be written: %s", error)
    now, deadline = clock.now(), time.monotonic() + PATIENCE
    said: dict[str, str] = {}
    for key in outbox.due(now):
        if time.monotonic() > deadline:
            break
        with outbox.claimed(key) as waiting:
            if waiting is not None:
                said[key] = _attempt(waiting, now)
    return said


def _attempt(waiting: Waiting, now: datetime) -> str:
    """Tell the channels that haven't taken an alert, write what they said, and keep it while one didn't take it."""
    said = waiting.said
    if waiting.attempts:
        why = "; ".join(f"{name}: {words}" for name, words in waiting.last.items())
        said = said | {"held_up": f"{waiting.attempts} attempts since {said['at']}; {why}"}
    asked = [one for one in channels() if waiting.channels is None or one.name in waiting.channels]
    outcomes = {one.name: one.tell(said) for one in asked}
    words = {name: outcome.words for name, outcome in outcomes.items()}
    refused = [name for name, outcome in outcomes.items() if not outcome.taken]
    is_over = not refused or now - datetime.fromisoformat(said["at"]) >= GIVEN_UP
    if is_over or len(refused) != len(waiting.channels or ()):
        _write(said | {"sent": words, "told": not refused})
    if is_over:
        outbox.drop(waiting.key)
    else:
        pause = min(PAUSE * 2 ** min(waiting.attempts, 10), LONGEST)
        outbox.put(Waiting(waiting.said, (now + pause).isoformat(), refused, waiting.attempts + 1, words))
    return "; ".join([f"log {alerts_file()}", *(f"{name}: {text}" for name, text in words.items())])


def _waiting(alert: Alert, now: datetime) -> Waiting:
    said = {
        "at": now.isoformat(),
        "key": alert.key,
        "title": alert.title,
        "message": alert.message,
        **alert.facts,
        "next": alert.next,
    }
    return Waiting(json.loads(json.dumps(said, default=str)), due=now.isoformat())


@contextmanager
def _only_one() -> Iterator[None]:
    """Let one process at a time look what was told and put more into the outbox; never held while telling."""
    path = data() / "alerts.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _told(key: str, now: datetime) -> str | None:
    """When the alert was told within the last 24 hours, or None."""
    recent = [
        str(one["at"])
        for one in logged()
        if one["key"] == key
        and one.get("told", True)
        and abs(now - datetime.fromisoformat(one["at"])) < AGAIN
    ]
    return recent[-1] if recent else None


def _parsed() -> tuple[list[dict[str, Any]], list[str]]:
    """The lines of the log file, and those that make no sense: a full disk or a power failure cut them."""
    path = alerts_file()
    lines, cut = [], []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        try:
            found = json.loads(line)
            datetime.fromisoformat(found["at"])
            lines.append({"key": "", **found})
        except (ValueError, TypeError, KeyError):
            cut += [line] if line.strip() else []
    return lines, cut


def _mend(now: datetime) -> None:
    """Put what is left of damaged files into the outbox as alerts: files of the outbox, and lines cut in the log file."""
    for path, left in outbox.put_aside().items():
        alert = Alert(
            key=f"outbox: {path.name}",
            title="an alert that was to be told is damaged",
            message=f"{path} can't be read, so what it was to tell has reached nobody: {left[:500]!r}",
            next="read what is left in that file, then delete it; see that the disk isn't full",
        )
        outbox.put(_waiting(alert, now))
    lines, cut = _parsed()
    if not cut:
        return
    alert = Alert(
        key=f"alerts.jsonl was cut: {cut[0][:80]}",
        title=f"{len(cut)} lines of the log of alerts were cut",
        message=f"{len(cut)} lines of {alerts_file()} can't be read; what they told may have reached nobody",
        facts={"lines": cut},
        next="read what is left of these lines; see that the disk isn't full",
    )
    outbox.put(_waiting(alert, now))
    partial = alerts_file().with_suffix(f".{os.getpid()}")
    partial.write_text("".join(json.dumps(line) + "\n" for line in lines))
    partial.replace(alerts_file())


def _write(line: Mapping[str, Any]) -> None:
    """Append to the log file, a whole line or nothing; a disk that doesn't take it keeps no alert from being told."""
    body = json.dumps(line, default=str).encode() + b"\n"
    try:
        with _only_one(), alerts_file().open("ab", buffering=0) as log:
            before = log.tell()
            if log.write(body) < len(body):
                log.truncate(before)
                raise OSError("no room for the whole line")
    except OSError as error:
        said_of_alerts.error("%s can't be written (%s); the alert: %s", alerts_file(), error, dict(line))
