"""One person on this machine: a link with a token, which becomes a cookie.

The token is taken once. Who opens the link again, from a history or over a shoulder,
is nobody.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, RedirectResponse

from convstore.web.actors import ROLES, Actor

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

COOKIE = "convstore"
TOKEN_BYTES = 32
ENTER = "/enter"


class Link:
    """An `auth` for `app` that knows one person, by a link.

    Args:
        actor_id: Under whom judgements are recorded; None for one who only reads.
        tenants: Whose conversations they see.
    """

    def __init__(self, actor_id: str | None, tenants: Sequence[str]) -> None:
        roles = ("reader",) if actor_id is None else ROLES
        self._actor = Actor(actor_id or "reader", tuple(roles), tuple(tenants))
        self._token: str | None = secrets.token_urlsafe(TOKEN_BYTES)
        self._cookie: str | None = None

    @property
    def path(self) -> str:
        """The way in, for this once; without the token when it was taken."""
        return f"{ENTER}?token={self._token}" if self._token else ENTER

    def __call__(self, request: Request) -> Actor | None:
        """Who has the cookie that the link became."""
        given = request.cookies.get(COOKIE, "")
        if self._cookie is None or not _same(given, self._cookie):
            return None
        return self._actor

    def enter(self, request: Request) -> Response:
        """Take the token; it leaves the address."""
        given = request.query_params.get("token", "")
        if self._token is None or not _same(given, self._token):
            told = "This link was used, or is of another run: start `convstore web`.\n"
            return PlainTextResponse(told, 401)
        self._token = None
        # Never what somebody else could have put into the browser.
        self._cookie = secrets.token_urlsafe(TOKEN_BYTES)
        return let_in(request, self._cookie)


def let_in(request: Request, cookie: str, lasts_s: int | None = None) -> Response:
    """To the first page, with the cookie; it ends with the browser, if not before."""
    answer = RedirectResponse(request.scope.get("root_path", "") + "/", 303)
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=lasts_s,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


def _same(given: str, kept: str) -> bool:
    """Compared in a time that tells nothing of where they part."""
    one, other = (hashlib.sha256(text.encode()).digest() for text in (given, kept))
    return secrets.compare_digest(one, other)
