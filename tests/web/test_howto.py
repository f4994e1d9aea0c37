"""What the pages on judging and on mounting say, done as they say it."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from convstore import Store, open_store
from convstore.web import Actor, app
from tests.web.conftest import BASE, OWN, acts_of, talk

HOWTO = Path(__file__).resolve().parents[2] / "docs" / "howto"
HUNDRED = 100


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'page.db'}") as opened:
        yield opened


async def test_a_hundred_conversations_are_judged_and_their_pairs_exported(
    store: Store, tmp_path: Path
) -> None:
    """From nothing, each with one press of a key."""
    for number in range(HUNDRED):
        chat = store.conversation(f"s-{number}")
        await store.sessions.get_or_create(f"s-{number}", tags=["round-1"])
        await chat.append(role="user", content=f"Where is file {number}?")
        await chat.append(role="assistant", content=f"On shelf {number}, at the left.")
        await store.turns.append(
            f"s-{number}", role="assistant", content=f"Look {number}.", parent_seq=1
        )
    ann = Actor("ann", ("operator",), ("default",))
    transport = httpx.ASGITransport(app(store, lambda request: ann))
    async with httpx.AsyncClient(
        transport=transport, base_url=BASE, headers=OWN, follow_redirects=True
    ) as browser:
        made = {"name": "round-1", "raters": "1", "tag": "round-1"}
        await browser.post("/queues", data=made)
        page, judged = await browser.get("/judge?queue=round-1"), 0
        while found := re.search(r'action="(/choose[^"]*)"', page.text):
            better = page.text.partition("On shelf")[2]
            seq = re.search(r'name="chosen" value="(\d+)"', better)
            assert seq is not None
            form = {"act": acts_of(page.text)[0], "chosen": seq[1]}
            # One request stores it, and has the next one on its way back.
            page = await browser.post(found[1].replace("&amp;", "&"), data=form)
            judged += 1
    report = await store.export(
        ["preference"], to=tmp_path / "pairs", splits={"train": 0.9, "test": 0.1}
    )

    assert judged == HUNDRED
    assert "Nothing is left for you" in page.text
    [pairs] = report.formats
    assert pairs.rows == HUNDRED
    assert set(pairs.splits) == {"train", "test"}


def block(page: str, number: int) -> str:
    """The code of a page, as its reader copies it."""
    text = (HOWTO / page).read_text(encoding="utf-8")
    return re.findall(r"^```python.*?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[
        number
    ]


async def test_the_page_is_mounted_in_an_application_as_the_how_to_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVSTORE_HOME", str(tmp_path))
    users = {
        "staff": SimpleNamespace(email="ann@example.com", is_staff=True),
        "guest": SimpleNamespace(email="x@example.com", is_staff=False),
    }

    async def my_user_of(request: Any) -> Any:
        return users.get(request.cookies.get("session"))

    named: dict[str, Any] = {"my_user_of": my_user_of}
    exec(compile(block("page.md", 0), "page.md", "exec"), named)  # noqa: S102
    api = named["api"]
    base = "https://chats.example.com"
    async with api.router.lifespan_context(api):
        async with open_store(f"sqlite:///{tmp_path / 'convstore.db'}") as beside:
            await talk(beside)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(api), base_url=base
        ) as browser:
            outside = await browser.get("/convstore/")
            browser.cookies.set("session", "guest")
            guest = await browser.get("/convstore/")
            browser.cookies.set("session", "staff")
            page = await browser.get("/convstore/conversation?id=s-1")
            act = {"act": acts_of(page.text)[0], "label": "thumbs_up"}
            own = {"origin": base, "sec-fetch-site": "same-origin"}
            judged = await browser.post(
                "/convstore/judge?id=s-1&turn=3", data=act, headers=own
            )
            elsewhere = await browser.get("http://evil.example/convstore/")

    assert [outside.status_code, guest.status_code] == [401, 401]
    assert "ann@example.com" in page.text
    assert judged.status_code == 303
    assert elsewhere.status_code == 421


@asynccontextmanager
async def served(application: Any) -> AsyncIterator[str]:
    """On a port of loopback, as `uvicorn --no-proxy-headers`."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, log_level="error", lifespan="off", proxy_headers=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve([listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listening.close()


async def test_a_proxy_that_signs_people_in_is_set_up_as_the_how_to_says(
    store: Store,
) -> None:
    await talk(store)
    code = block("page.md", 1).replace("10.0.3.7", "127.0.0.1")
    named: dict[str, Any] = {"store": store}
    exec(compile(code, "page.md", "exec"), named)  # noqa: S102
    signed_in = {"ticket-of-ann": "ann@example.com", "ticket-of-x": "x@example.com"}

    async with served(named["page"]) as inside, httpx.AsyncClient() as onward:

        async def forward(request: Request) -> Response:
            # Whoever an OIDC provider vouched for; what clients say of it goes.
            dropped = ("x-forwarded-email", "content-length")
            headers = [(k, v) for k, v in request.headers.items() if k not in dropped]
            email = signed_in.get(request.cookies.get("ticket", ""))
            headers += [("x-forwarded-email", email)] if email else []
            told = await onward.request(
                request.method,
                f"{inside}{request.url.path}?{request.url.query}",
                headers=headers,
                content=await request.body(),
            )
            return Response(told.content, told.status_code, dict(told.headers))

        routes = [Route("/{path:path}", forward, methods=["GET", "POST"])]
        proxy = httpx.ASGITransport(Starlette(routes=routes))
        base = "https://chats.example.com"
        async with httpx.AsyncClient(transport=proxy, base_url=base) as browser:
            posed = {"x-forwarded-email": "ann@example.com"}
            nobody = await browser.get("/", headers=posed)
            browser.cookies.set("ticket", "ticket-of-x")
            unknown = await browser.get("/", headers=posed)
            browser.cookies.set("ticket", "ticket-of-ann")
            page = await browser.get("/conversation?id=s-1")
            act = {"act": acts_of(page.text)[0], "label": "thumbs_up"}
            own = {"origin": base, "sec-fetch-site": "same-origin"}
            judged = await browser.post("/judge?id=s-1&turn=3", data=act, headers=own)

    assert [nobody.status_code, unknown.status_code] == [401, 401]
    assert judged.status_code == 303
    [stored] = (await store.interactions.list("s-1")).items
    assert stored.actor_id == "ann@example.com"
