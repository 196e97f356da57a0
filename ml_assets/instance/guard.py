"""Which requests Dagster's webserver carries out: those of its own pages and of programs, not those of other pages.

A browser sends to 127.0.0.1 whatever any page on the internet asks it to send, and Dagster launches runs for whoever
asks: by GET, by a form, over a WebSocket. What such a page can't choose is what the browser says about it: ``Host`` is
the name in the address, ``Origin`` the page that asks, and JSON is sent without asking first to one's own origin alone.
"""

import logging
import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HOSTS = "ML_ASSETS_HOSTS"
OWN = ("127.0.0.1", "localhost")
"""How this machine calls itself; any port, because a tunnel may have another."""
NO_FRAME = (b"x-frame-options", b"SAMEORIGIN")
"""No other site's page shows the UI in a frame, under something that a person thinks to click."""

log = logging.getLogger("ml_assets.guard")


def further_hosts() -> tuple[str, ...]:
    """The hosts in ML_ASSETS_HOSTS, separated by spaces: names by which a proxy shows the UI."""
    return tuple(os.environ.get(HOSTS, "").lower().split())


@dataclass(frozen=True)
class Guard:
    """An ASGI application that refuses, with 403 and the reason, what another site's page may have sent."""

    app: App
    hosts: Collection[str] = field(default_factory=further_hosts)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with why not."""
        if scope["type"] not in ("http", "websocket"):  # the server's own start and end
            await self.app(scope, receive, send)
            return
        reason = refusal(scope, self.hosts)
        if reason is None:
            await self.app(scope, receive, _unframed(send))
            return
        log.warning("refused %s %r: %s", scope.get("method", "WebSocket"), scope["path"], reason)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": f"Refused: {reason}\n".encode()})


def refusal(scope: Mapping[str, Any], further: Collection[str]) -> str | None:
    """Why a request isn't carried out, in words; None if it is. ``further`` are hosts beside this machine's own."""
    headers = _headers(scope["headers"])
    host, origin = headers.get("host", "").lower(), headers.get("origin")
    hosts = {*OWN, *further}
    if _split(f"//{host}").hostname not in hosts:
        return (
            f"it was asked for at {host!r}, and this server is at {', '.join(sorted(hosts))}. "
            f"Where a proxy shows it by another name, set {HOSTS} to that name and start the servers again."
        )
    if origin is not None:
        page = _split(origin.lower())
        if page.netloc != host and page.hostname not in further:
            return f"a page of {origin!r} asked for it, and only this server's own pages may."
    if scope["type"] == "websocket":
        return None
    if scope["method"] in ("GET", "HEAD"):
        if scope["path"] == "/graphql" and "text/html" not in headers.get("accept", ""):
            return "GraphQL is asked by POST with JSON, not by GET, which any page's picture does."
        return None
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return f"its content type is {kind!r}; what changes something is sent as application/json."
    return None


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header -> value; of one that is repeated the first, as Starlette reads them."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return found


def _split(url: str) -> SplitResult:
    """The parts of a URL; of one that makes no sense, none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _unframed(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), NO_FRAME]
        await send(message)

    return sending
