"""Several people with tokens: in by a form, out at once, and none kept in the clear."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from convstore import AlreadyExistsError, ConfigError, InvalidInputError, Store
from convstore.web import SignIn, TokenFile, app
from convstore.web.sign_in import LASTS_S
from tests.web.conftest import BASE, OWN, acts_of, talk


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


Browser = Callable[[], httpx.AsyncClient]


def browser_of(store: Store, tokens: TokenFile, **how: object) -> Browser:
    page = app(store, SignIn(tokens, **how))  # type: ignore[arg-type]
    transport = httpx.ASGITransport(page)
    return lambda: httpx.AsyncClient(transport=transport, base_url=BASE)


async def test_a_token_lets_its_holder_in_by_a_form_with_their_role_and_name(
    store: Store, tokens: TokenFile
) -> None:
    await talk(store)
    ann = tokens.add("ann", role="annotator", tenants=["default"])
    bo = tokens.add("bo", role="reader", tenants=["default"])
    open_browser = browser_of(store, tokens)
    async with open_browser() as hers, open_browser() as his:
        met = await hers.get("/conversation?id=s-1")
        form = await hers.get("/enter")
        wrong = await hers.post("/enter", data={"token": "x"}, headers=OWN)
        foreign = await hers.post("/enter", data={"token": ann})
        entered = await hers.post("/enter", data={"token": f" {ann} "}, headers=OWN)
        await his.post("/enter", data={"token": bo}, headers=OWN)
        page = await hers.get("/conversation?id=s-1")
        act = {"act": acts_of(page.text)[0], "label": "thumbs_up"}
        judged = await hers.post("/judge?id=s-1&turn=3", data=act, headers=OWN)
        refused = await his.post("/judge?id=s-1&turn=3", data=act, headers=OWN)
        as_json = {"accept": "application/json"}
        program = await his.get(
            "/", headers={**as_json, "authorization": f"Bearer {bo}"}
        )
        his.cookies.clear()
        outside = await his.get("/", headers=as_json)

    assert (met.status_code, met.headers["location"]) == (303, "/enter")
    assert 'type="password"' in form.text
    assert (wrong.status_code, foreign.status_code) == (401, 403)
    assert entered.headers["location"] == "/"
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert ann not in cookie
    assert (judged.status_code, refused.status_code) == (303, 403)
    [stored] = (await store.interactions.list("s-1")).items
    assert stored.actor_id == "ann"
    assert (program.status_code, outside.status_code) == (200, 401)


async def test_whoever_is_removed_is_out_at_once_and_a_visit_ends_by_itself(
    store: Store, tokens: TokenFile
) -> None:
    now = 0.0
    given = {
        name: tokens.add(name, role="reader", tenants=["default"]) for name in "ab"
    }
    open_browser = browser_of(store, tokens, clock=lambda: now)
    async with open_browser() as one, open_browser() as other:
        for browser, token in ((one, given["a"]), (other, given["b"])):
            await browser.post("/enter", data={"token": token}, headers=OWN)
            assert (await browser.get("/")).status_code == 200
        assert tokens.remove("a")
        assert (await one.get("/")).status_code == 303
        # The same name with another token is another visit.
        tokens.add("a", role="operator", tenants=["default"])
        assert (await one.get("/")).status_code == 303
        assert (await other.get("/")).status_code == 200
        now = LASTS_S + 1
        assert (await other.get("/")).status_code == 303


async def test_a_page_that_only_reads_lets_people_sign_in(
    store: Store, tokens: TokenFile
) -> None:
    token = tokens.add("op", role="operator", tenants=["default"])
    page = app(store, SignIn(tokens), read_only=True)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(page), base_url=BASE
    ) as browser:
        entered = await browser.post("/enter", data={"token": token}, headers=OWN)
        refused = await browser.post("/delete?id=s-1", data={}, headers=OWN)

    assert (entered.status_code, refused.status_code) == (303, 403)


def test_the_file_is_its_owners_and_has_no_token(tokens: TokenFile) -> None:
    token = tokens.add("ann", role="annotator", tenants=["default", "acme"])

    told = tokens.path.read_text()
    assert token not in told
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600
    assert tokens.holder_of(token) == tokens.holders()[0]
    assert tokens.holders()[0].tenants == ("default", "acme")
    assert tokens.holder_of("") is tokens.holder_of(token + "x") is None
    with pytest.raises(AlreadyExistsError):
        tokens.add("ann", role="reader", tenants=["default"])
    for field, wrong in (
        ("role", {"role": "admin", "tenants": ["default"]}),
        ("tenants", {"role": "reader", "tenants": []}),
        ("tenants", {"role": "reader", "tenants": "default"}),
    ):
        with pytest.raises(InvalidInputError, match=field):
            tokens.add("bo", **wrong)  # type: ignore[arg-type]
    assert tokens.path.read_text() == told
    assert not tokens.remove("nobody")


def test_a_file_that_others_read_or_that_is_none_of_ours_lets_nobody_in(
    tokens: TokenFile,
) -> None:
    token = tokens.add("ann", role="reader", tenants=["default"])
    os.chmod(tokens.path, 0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        tokens.holder_of(token)
    os.chmod(tokens.path, 0o600)
    for text in (
        "",
        "[]",
        "{}",
        '{"version":2,"tokens":[]}',
        '{"version":1,"tokens":[{}]}',
    ):
        tokens.path.write_text(text)
        with pytest.raises(ConfigError, match="no file of tokens"):
            tokens.holder_of(token)


def test_many_at_once_lose_nobody(tokens: TokenFile) -> None:
    def add(number: int) -> None:
        TokenFile(tokens.path).add(f"p-{number}", role="reader", tenants=["default"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))

    assert {one.name for one in tokens.holders()} == {f"p-{n}" for n in range(24)}
