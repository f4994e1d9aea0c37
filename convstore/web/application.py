"""The ASGI application: who may see which page, as HTML or as JSON."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import (
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route, Router

from convstore.vocabulary.clock import SystemClock
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.errors import ConfigError, ConvstoreError
from convstore.vocabulary.http_status import http_status
from convstore.web import text
from convstore.web.actors import Actor, Auth, Role, actor_of
from convstore.web.audit import Audit, Event
from convstore.web.entrance import Entrance
from convstore.web.link import ENTER
from convstore.web.plain import plain
from convstore.web.views import FORMS, NAVIGATION, PAGES, Shown
from convstore.web.visit import Answer, Go, Sent, View, Visit, form_of, parameters

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from convstore.store.facade import Store

_HOME = Path(__file__).parent
_STATIC = {"page.css": "text/css", "page.js": "text/javascript"}


def app(
    store: Store,
    auth: Auth,
    *,
    hosts: Sequence[str] = (),
    read_only: bool = False,
    data_sets: str | os.PathLike[str] | None = None,
    audit: Audit | None = None,
) -> ASGIApp:
    """The page of a store, to be served or mounted: `api.mount("/convstore", app(…))`.

    Runs in the event loop that the store was opened in. Every write of it is an
    ordinary one of the store; the page keeps nothing of its own.

    Args:
        store: Open for as long as the application runs.
        auth: Says who sent a request: something with `id`, `roles` and `tenants`, as
            `Actor`, or None for nobody, who sees nothing. May be asynchronous.
        hosts: The names, with or without port, under which it is reached. Empty allows
            those of loopback alone.
        read_only: Refuse every form, whoever sends it.
        data_sets: A folder whose data sets are shown, and to which operators write
            some: each tenant's in a folder of its own, such as `tenant=acme`. Without,
            none are written from the page.
        audit: Told each request of somebody who got in, before it is answered: who,
            what, and whose words. May be asynchronous; what it raises ends the request.

    Raises:
        ConfigError: `auth` is not callable, or `hosts` is no list.
    """
    if not callable(auth):
        raise ConfigError("auth: give a function that says who sent a request")
    folder = None if data_sets is None else Path(data_sets)
    site = _Site(store, auth, read_only, folder, audit)
    return Entrance(site.router(), hosts, read_only=read_only)


class _Site:
    """The pages over one store."""

    def __init__(
        self,
        store: Store,
        auth: Auth,
        read_only: bool,
        data_sets: Path | None,
        audit: Audit | None,
    ) -> None:
        self._store, self._auth, self._read_only = store, auth, read_only
        self._data_sets, self._audit = data_sets, audit
        self._files = {name: (_HOME / "static" / name).read_bytes() for name in _STATIC}
        self._pages = _environment()
        stamps = {n: hashlib.sha256(d).hexdigest()[:12] for n, d in self._files.items()}
        self._pages.globals["stamps"] = stamps

    def router(self) -> Router:
        """All routes."""
        routes = [
            Route(path, partial(self._answer, role, show), methods=["GET"])
            for path, (role, show) in PAGES.items()
        ]
        routes += [
            Route(path, partial(self._answer, role, do), methods=["POST"])
            for path, (role, do) in FORMS.items()
        ]
        routes.append(Route("/static/{name}", self._static, methods=["GET"]))
        if enter := getattr(self._auth, "enter", None):
            methods = getattr(self._auth, "enter_methods", ("GET",))
            routes.append(Route(ENTER, enter, methods=list(methods)))
        return Router(routes, redirect_slashes=False)

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._files:
            return PlainTextResponse("There is no such file.\n", 404)
        kept = {"cache-control": "private, max-age=31536000, immutable"}
        return Response(self._files[name], headers=kept, media_type=_STATIC[name])

    async def _answer(self, role: Role, show: Shown, request: Request) -> Response:
        actor = await actor_of(self._auth, request)
        as_json = _wants_json(request)
        if actor is None:
            # Where people sign in by a form, a browser is brought to it.
            if "POST" in getattr(self._auth, "enter_methods", ()) and not as_json:
                return RedirectResponse(request.scope.get("root_path", "") + ENTER, 303)
            return PlainTextResponse("Nobody is signed in: who are you?\n", 401)
        visit: Visit | None = None
        try:
            visit = await self._visit(request, actor)
            if visit is None or not actor.may(role):
                told = "You may not see this, or not do it.\n"
                if visit is not None:
                    await self._note(request, visit, "forbidden")
                return PlainTextResponse(told, 403)
            found = await show(visit)
        except ConvstoreError as error:
            # Errors name ids and fields, and never what people said.
            if visit is not None:
                await self._note(request, visit, error.code)
            return self._failed(visit, error, as_json)
        await self._note(request, visit)
        return self._sent(visit, found, as_json)

    def _sent(self, visit: Visit, found: Answer, as_json: bool) -> Response:
        if isinstance(found, Sent):
            way = "inline" if found.inline else f'attachment; filename="{found.name}"'
            return StreamingResponse(
                found.pieces,
                headers={"content-disposition": way},
                media_type=found.media_type,
            )
        if isinstance(found, Go):
            if as_json:
                return _json(found.json)
            return RedirectResponse(found.to, 303)
        if as_json:
            return _json(found.json)
        return self._page(visit, found)

    async def _visit(self, request: Request, actor: Actor) -> Visit | None:
        query = parameters(request.scope.get("query_string", b""))
        form = await form_of(request) if request.method == "POST" else {}
        own = self._store.tenant
        wanted = query.pop("tenant", None)
        if wanted is None:
            wanted = own if own in actor.tenants else next(iter(actor.tenants), None)
        if wanted is None or wanted not in actor.tenants:
            return None
        store = self._store if wanted == own else self._store.for_tenant(wanted)
        return Visit(
            store=store,
            actor=actor,
            query=query,
            form=form,
            now=SystemClock().now(),
            root=request.scope.get("root_path", ""),
            elsewhere=None if wanted == own else wanted,
            read_only=self._read_only,
            data_sets=None
            if self._data_sets is None
            else self._data_sets / text.folder_of(wanted),
        )

    async def _note(
        self, request: Request, visit: Visit, problem: str | None = None
    ) -> None:
        """Tell the audit, if there is one."""
        if self._audit is None:
            return
        named = (visit.query["id"],) if "id" in visit.query else ()
        told = self._audit(
            Event(
                visit.now,
                visit.actor.id,
                visit.store.tenant,
                f"{request.method} {request.url.path.removeprefix(visit.root)}",
                tuple(visit.seen) or named,
                visit.query.get("user"),
                problem,
            )
        )
        if told is not None:
            await told

    def _failed(
        self, visit: Visit | None, error: ConvstoreError, as_json: bool
    ) -> Response:
        status = http_status(error)
        if as_json or visit is None:
            return _json({"code": error.code, "message": str(error)}, status)
        shown = {"message": str(error), "code": error.code}
        return self._page(visit, View("error.html", "Not done", shown, {}), status)

    def _page(self, visit: Visit, view: View, status: int = 200) -> Response:
        html = self._pages.get_template(view.template).render(
            view.shown,
            title=view.title,
            here=view.here,
            visit=visit,
            url=visit.url,
            navigation=NAVIGATION,
            ago=lambda at: text.ago(at, visit.now),
        )
        return Response(html, status, media_type="text/html")


@cache
def _environment() -> Environment:
    """Of all pages of a process: templates are compiled once."""
    pages = Environment(
        loader=FileSystemLoader(_HOME / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "moment": text.moment,
        "size": text.size,
        "money": text.money,
        "duration": text.duration,
        "units": text.units,
        # Into a field that is sent back: nothing may be put in another's place.
        "exact": lambda value: Markup(escape(value)),
    }
    return pages


def _finalize(value: Any) -> Any:
    """Whatever is shown has its hidden characters made visible."""
    if isinstance(value, Markup):
        return value
    return text.visible(value) if isinstance(value, str) else value


def _wants_json(request: Request) -> bool:
    """Whether JSON was asked for by name, and HTML was not."""
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def _json(value: object, status: int = 200) -> Response:
    return Response(dumps(plain(value)) + b"\n", status, media_type="application/json")
