"""The way in for people with tokens: a form takes the token, and gives a cookie.

A token is in no address, which histories and logs keep. The cookie is made anew for
each visit and is known to the running process alone.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

from convstore.web.actors import Actor
from convstore.web.link import COOKIE, TOKEN_BYTES, let_in
from convstore.web.tokens import TokenFile, digest
from convstore.web.visit import form_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LASTS_S = 12 * 3_600.0
"""How long a visit lasts: a day at work."""
_MOST_VISITS = 1_000
_BEARER = "bearer "

_FORM = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in · convstore</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">
<link rel="stylesheet" href="static/page.css"></head>
<body class="door"><main><h1>convstore</h1>{told}
<form class="stack" method="post" action="enter">
<label>Your token <input name="token" type="password" required autofocus
autocomplete="current-password"></label>
<button class="button main">Sign in</button></form></main></body></html>
"""
_WRONG = '<p class="note warn" role="alert">Nobody has this token.</p>'


class SignIn:
    """An `auth` for `app`: people with tokens, by a cookie or by a header.

    `Authorization: Bearer TOKEN` is for programs; a browser signs in at `/enter`.

    Args:
        tokens: Who has one.
        clock: Seconds that only grow.
    """

    enter_methods = ("GET", "POST")

    def __init__(
        self, tokens: TokenFile, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tokens, self._clock = tokens, clock
        # Digest of a cookie: the digest of the token that it was given for, and until
        # when it is good. The oldest visits end where there are very many.
        self._visits: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def __call__(self, request: Request) -> Actor | None:
        """Who has this token, or came in with it and still has it."""
        told = request.headers.get("authorization", "")
        if told[: len(_BEARER)].lower() == _BEARER:
            holder = self._tokens.holder_of(told[len(_BEARER) :].strip())
            return None if holder is None else holder.actor
        visit = self._visits.get(digest(request.cookies.get(COOKIE, "")))
        if visit is None or visit[1] < self._clock():
            return None
        held = [one for one in self._tokens.holders() if one.digest == visit[0]]
        return held[0].actor if held else None

    async def enter(self, request: Request) -> Response:
        """Show the form, or take it."""
        if request.method != "POST":
            return HTMLResponse(_FORM.format(told=""))
        given = (await form_of(request)).get("token", "")
        holder = self._tokens.holder_of(given.strip())
        if holder is None:
            return HTMLResponse(_FORM.format(told=_WRONG), 401)
        cookie = secrets.token_urlsafe(TOKEN_BYTES)
        self._visits[digest(cookie)] = holder.digest, self._clock() + LASTS_S
        while len(self._visits) > _MOST_VISITS:
            self._visits.popitem(last=False)
        return let_in(request, cookie, int(LASTS_S))
