"""What every request passes before a page sees it, and every answer on its way out.

A page on loopback is open to each page in the same browser: names that were rebound,
forms of other sites, frames. Each is refused by what only the browser can say, and
what it does not say is no permission.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from convstore.vocabulary.errors import ConfigError
from convstore.web.link import ENTER

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("convstore.web")

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
MOST_BODY_BYTES = 1024 * 1024
"""Of a form: a correction of a long answer, and some room."""
_READS = ("GET", "HEAD")
_MOST_QUERY_BYTES = 8 * 1024
"""Ids have 255 characters, of at most twelve bytes each when they are encoded."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # `no-referrer` would make the browser send `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Entrance:
    """Checks host, size, method and origin; adds the headers."""

    def __init__(
        self, inner: ASGIApp, hosts: Collection[str], *, read_only: bool
    ) -> None:
        if isinstance(hosts, str):
            raise ConfigError("hosts: give a list of names")
        self._inner, self._read_only = inner, read_only
        self._hosts = {host.casefold() for host in hosts or LOOPBACK}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            status, why = refused
            await PlainTextResponse(why + "\n", status)(scope, receive, guarded)
            return
        try:
            await self._inner(scope, receive, guarded)
        except Exception as error:
            # Its text may say what people said; the server is told by the raise.
            _log.error("a page failed: %s", type(error).__name__)
            if not started:
                told = PlainTextResponse("The page failed.\n", 500)
                await told(scope, receive, guarded)
            raise

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """The status and the reason if the request is not let in."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").casefold()
        if host not in self._hosts and _name_of(host) not in self._hosts:
            return 421, "This host name is not served here."
        if len(scope.get("query_string", b"")) > _MOST_QUERY_BYTES:
            return 414, "The address is too long."
        if scope["method"] in _READS:
            return None
        if scope["method"] != "POST":
            return 405, "Read with GET, write with POST."
        if self._read_only and scope["path"] != scope.get("root_path", "") + ENTER:
            return 403, "This page only reads."
        if headers.get("sec-fetch-site") != "same-origin":
            return 403, "A form of another site is not taken."
        scheme, _, origin = headers.get("origin", "").casefold().partition("://")
        if scheme not in ("http", "https") or origin != host:
            return 403, "A form of another site is not taken."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BODY_BYTES:
            return 413, "The form is too large."
        return None


def _name_of(host: str) -> str:
    """A host header without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host
