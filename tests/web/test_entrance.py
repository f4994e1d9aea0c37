"""Nobody gets in who should not, and no other site gets anything done."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import stat
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request

from convstore import ConfigError, Store
from convstore.web import Actor, AuditFile, Event, Link, app, behind_proxy
from tests.web.conftest import ANN, BASE, OWN, Visitor, acts_of, talk

PAGES = (
    "/",
    "/search?q=x",
    "/conversation?id=s-1",
    "/compare?id=s-1&one=2&other=3",
    "/queues",
    "/disagreements",
    "/datasets",
    "/retention",
    "/archive",
    "/cost",
    "/people",
)
OPERATOR = Actor("op", ("operator",), ("default",))


def client(page: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(page)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url=BASE)


async def test_nobody_sees_nothing(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor(None)

    answers = [await page.get(path) for path in PAGES]

    assert {answer.status_code for answer in answers} == {401}
    assert not any("pleasure" in answer.text for answer in answers)


async def test_every_answer_loads_and_runs_nothing_of_others(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor(OPERATOR)

    for path in PAGES:
        answer = await page.get(path)

        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'se")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert not re.search(r"<[^>]*\s(style|on\w+)=", answer.text)
        assert len(answer.content) < 100_000


async def test_a_name_that_was_rebound_is_refused(
    visitor: Callable[..., Visitor],
) -> None:
    page = visitor()

    for host in ["evil.example", "127.0.0.1.evil.example", "", "8170"]:
        answer = await page.client.get("/", headers={"host": host})
        assert answer.status_code == 421, host


async def test_loopback_has_several_names(visitor: Callable[..., Visitor]) -> None:
    page = visitor()

    for host in ["localhost", "LOCALHOST:80", "[::1]:8170"]:
        assert (await page.client.get("/", headers={"host": host})).is_success


async def test_named_hosts_are_those_alone(visitor: Callable[..., Visitor]) -> None:
    page = visitor(hosts=["chats.example"])

    there = await page.client.get("/", headers={"host": "chats.example:8443"})
    here = await page.client.get("/")

    assert (there.status_code, here.status_code) == (200, 421)


FOREIGN = [
    {},
    {"origin": BASE},
    {"sec-fetch-site": "same-origin"},
    {**OWN, "sec-fetch-site": "cross-site"},
    {**OWN, "sec-fetch-site": "same-site"},
    {**OWN, "sec-fetch-site": "none"},
    {**OWN, "origin": "http://evil.example"},
    {**OWN, "origin": "null"},
    {**OWN, "origin": "http://127.0.0.1:9"},
]


async def test_a_form_of_another_site_changes_nothing(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page, form = visitor(), {"act": "abcdefgh", "label": "thumbs_up"}

    for headers in FOREIGN:
        answer = await page.client.post(
            "/judge?id=s-1&turn=2", data=form, headers=headers
        )
        assert answer.status_code == 403, headers
    assert (await store.sessions.get("s-1")).interaction_count == 0


async def test_a_page_that_only_reads_takes_no_form(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor(OPERATOR, read_only=True)

    answer = await page.post("/judge", {"act": "abcdefgh", "label": "x"}, id="s-1")
    shown = await page.get("/conversation", id="s-1")

    assert answer.status_code == 403
    assert 'method="post"' not in shown.text
    assert (await store.sessions.get("s-1")).interaction_count == 0


async def test_a_higher_role_reads_too(visitor: Callable[..., Visitor]) -> None:
    for roles in ((), ("reader",), ("annotator",), ("operator",)):
        answer = await visitor(Actor("a", roles, ("default",))).get("/")

        assert answer.status_code == (200 if roles else 403)


async def test_an_annotator_does_not_operate(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page, form = visitor(), {"confirm": "s-1", "reason": "x", "title": "x"}

    for path in ("/describe", "/hold", "/restore", "/delete", "/erase"):
        assert (await page.post(path, form, id="s-1")).status_code == 403
    assert (await store.sessions.get("s-1")).state == "active"


async def test_every_view_of_a_conversation_is_noted_or_not_shown(
    store: Store, tmp_path: Path, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await store.queues.put("q")
    file = tmp_path / "audit.jsonl"
    page = visitor(audit=AuditFile(file))

    shown = await page.get("/conversation", id="s-1")
    for path in ("/search?q=pleasure", "/judge?queue=q", "/datasets?format=messages"):
        assert (await page.client.get(path)).status_code == 200
    form = {"act": acts_of(shown.text)[0], "label": "thumbs_up"}
    await page.post("/judge", form, id="s-1", turn=3)
    await page.post("/judge", {}, id="s-1", turn=3)
    await page.get("/", user="u-1")

    told = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [(one["act"], one["session_ids"], one["problem"]) for one in told] == [
        ("GET /conversation", ["s-1"], None),
        ("GET /search", ["s-1"], None),
        ("GET /judge", ["s-1"], None),
        ("GET /datasets", ["s-1"], None),
        ("POST /judge", ["s-1"], None),
        ("POST /judge", ["s-1"], "invalid_input"),
        ("GET /", [], None),
    ]
    assert {one["actor_id"] for one in told} == {"ann"}
    assert told[-1]["user_id"] == "u-1"
    assert "pleasure" not in file.read_text("utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def full(event: Event) -> None:
        raise OSError(28, "full")

    unnoted = visitor(audit=full)
    with pytest.raises(OSError, match="full"):
        await unnoted.get("/conversation", id="s-1")


async def test_a_reader_does_not_judge(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page = visitor(Actor("r", ("reader",), ("default",)))

    answer = await page.post("/judge", {"act": "abcdefgh", "label": "x"}, id="s-1")

    assert answer.status_code == 403


async def test_another_tenant_is_not_seen_and_not_there_by_default(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    await talk(store.for_tenant("acme"), "a-1")
    own, both = visitor(), visitor(Actor("b", ("reader",), ("default", "acme")))
    none = visitor(Actor("n", ("reader",), ()))

    assert (await own.get("/", tenant="acme")).status_code == 403
    assert (await none.get("/")).status_code == 403
    there = await both.get("/", tenant="acme")
    assert "id=a-1&amp;tenant=acme" in there.text
    assert "id=s-1" not in there.text


@pytest.mark.parametrize(
    "found",
    [
        Actor("a", ("admin",), ("default",)),
        Actor("a", "operator", ("default",)),  # type: ignore[arg-type]
        Actor("a", ("reader",), "default"),  # type: ignore[arg-type]
    ],
)
async def test_an_auth_that_cannot_be_meant_is_no_permission(
    store: Store, found: Actor
) -> None:
    async with client(app(store, lambda request: found)) as browser:
        with pytest.raises(ConfigError):
            await browser.get("/")


async def test_auth_may_wait_for_something(store: Store) -> None:
    async def auth(request: Request) -> Actor | None:
        await asyncio.sleep(0)
        return ANN if request.headers.get("x") == "y" else None

    async with client(app(store, auth)) as browser:
        assert (await browser.get("/")).status_code == 401
        assert (await browser.get("/", headers={"x": "y"})).status_code == 200


async def test_a_body_that_is_too_large_is_not_read_on(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    sent = 0

    async def pieces():  # type: ignore[no-untyped-def]
        nonlocal sent
        yield b"act=abcdefgh&label="
        while sent < 50_000_000:
            sent += 65_536
            yield b"x" * 65_536

    told = await visitor().client.post(
        "/judge?id=s-1", content=b"x" * 2_000_000, headers=OWN
    )
    streamed = await visitor().client.post(
        "/judge?id=s-1", content=pieces(), headers=OWN
    )

    assert (told.status_code, streamed.status_code) == (413, 422)
    assert sent < 3_000_000


async def test_what_cannot_be_read_is_refused(
    store: Store, visitor: Callable[..., Visitor]
) -> None:
    await talk(store)
    page, form = visitor(), {"act": "abcdefgh", "label": "x"}
    many = "&".join(f"a{n}=1" for n in range(200))

    for query in ("id=%FF", "id=s-1&id=s-2", many, "turn=x&id=s-1"):
        answer = await page.client.post(f"/judge?{query}", data=form, headers=OWN)
        assert answer.status_code == 422, query
    assert (await store.sessions.get("s-1")).interaction_count == 0


async def test_a_link_is_taken_once_and_becomes_a_cookie(store: Store) -> None:
    link = Link("ann", ["default"])
    way_in = link.path
    async with client(app(store, link)) as browser:
        before = await browser.get("/")
        # A cookie that somebody put there beforehand never becomes the one.
        browser.cookies.set("convstore", way_in.partition("=")[2])
        fixed = await browser.get("/")
        browser.cookies.clear()
        entered = await browser.get(way_in)
        inside = await browser.get("/")
    async with client(app(store, link)) as another:
        again = await another.get(way_in)
        empty = await another.get("/enter?token=")
        outside = await another.get("/")

    assert (before.status_code, fixed.status_code) == (401, 401)
    assert entered.status_code == 303
    assert entered.headers["location"] == "/"
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert way_in.partition("=")[2] not in cookie
    assert inside.status_code == 200
    assert [x.status_code for x in (again, empty, outside)] == [401, 401, 401]


async def test_who_has_a_link_without_a_name_only_reads(store: Store) -> None:
    link = Link(None, ["default"])
    async with client(app(store, link)) as browser:
        await browser.get(link.path)
        answer = await browser.post(
            "/judge?id=s-1", data={"act": "abcdefgh", "label": "x"}, headers=OWN
        )

    assert answer.status_code == 403


async def test_a_proxy_is_believed_only_from_its_own_address(store: Store) -> None:
    auth = behind_proxy(
        header="X-User",
        addresses=["10.0.0.0/8", "::1"],
        roles={"ann": ["annotator"]},
        tenants=["default"],
    )
    page = app(store, auth)

    async def status(address: str, *names: str) -> int:
        transport = httpx.ASGITransport(page, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as browser:
            headers = [("X-User", name) for name in names]
            return (await browser.get("/", headers=headers)).status_code

    assert await status("10.1.2.3", "ann") == 200
    assert await status("192.0.2.1", "ann") == 401
    assert await status("10.1.2.3", "bo") == 401
    assert await status("10.1.2.3") == 401
    assert await status("10.1.2.3", "ann", "ann") == 401
    assert await status("not an address", "ann") == 401


@pytest.mark.parametrize("addresses", [[], "10.0.0.1", ["not an address"]])
def test_a_proxy_without_an_address_is_refused(addresses: list[str]) -> None:
    with pytest.raises(ConfigError, match="addresses"):
        behind_proxy(header="X", addresses=addresses, roles={}, tenants=[])


async def test_no_log_has_what_was_said(
    store: Store,
    visitor: Callable[..., Visitor],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    await talk(store)
    page = visitor()
    html = (await page.get("/conversation", id="s-1")).text
    await page.post(
        "/judge",
        {"act": acts_of(html)[0], "comment": "secret comment"},
        id="s-1",
        turn=3,
    )
    await page.get("/search", q="pleasure")

    ours = [r.getMessage() for r in caplog.records if r.name.startswith("convstore")]
    assert not any("pleasure" in told or "secret" in told for told in ours)
