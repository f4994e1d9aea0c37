"""The page in a real Chromium: keys, forms, hostile words, small screens, contrast.

On SQLite alone: what the store does is tested elsewhere on both databases.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from starlette.requests import Request

from convstore import Store, open_store
from convstore.web import Actor, app
from tests.real_files import mapping_of
from tests.summary import leave_out, note_tested
from tests.web.conftest import talk

CHROMIUM = os.environ.get("CONVSTORE_TEST_CHROMIUM") or shutil.which("chromium")
HOSTILE = (
    "<script>document.title='owned'</script>"
    "<img src=//evil.example/x onerror=alert(1)><svg onload=alert(2)>"
    "<iframe src=//evil.example></iframe> [x](javascript:alert(3)) "
    "![y](http://evil.example/y.png) </textarea></title><style>@import '//evil.example'"
    "</style> {{ 7*7 }} {% raise %} \u202egnp.exe\u200b \x1b[31m \U000e0041 \"'><b>"
)
SERIOUS = ("serious", "critical")


class Window:
    """A page of the browser, and whatever it asked for or complained of."""

    def __init__(self, page: Any, base: str) -> None:
        self.page, self.base = page, base
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._note)
        page.on("console", lambda told: self.complaints.append(told.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append("a dialog"))
        # What failed is looked at here, and hangs nothing for the usual half a minute.
        page.set_default_timeout(120_000)

    def _note(self, request: Any) -> None:
        if not request.url.startswith((self.base, "data:")):
            self.foreign.append(request.url)

    async def go(self, path: str) -> Any:
        return await self.page.goto(self.base + path)

    async def press(self, key: str) -> None:
        """Press a key that stores something; what it leads to has taken the place."""
        await self.page.evaluate("document.querySelector('main').dataset.old = 'yes'")
        await self.page.keyboard.press(key)
        await self.page.locator("main:not([data-old])").wait_for()


Open = Callable[..., Any]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'page.db'}") as opened:
        yield opened


@pytest.fixture
async def window(
    store: Store, pytestconfig: pytest.Config, tmp_path: Path
) -> AsyncIterator[Open]:
    """`await window("ann")`: a browser of one person, in front of a served page."""
    if CHROMIUM is None:
        leave_out(pytestconfig, "chromium", "no chromium: apt-get install chromium")
    from playwright.async_api import async_playwright

    note_tested(pytestconfig, "chromium", str(CHROMIUM))

    def auth(request: Request) -> Actor:
        who = request.headers.get("x-who", "ann")
        return Actor(who, ("operator",), ("default",))

    listening = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    page = app(store, auth, data_sets=tmp_path / "data-sets")
    config = uvicorn.Config(page, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve([listening]))
    async with AsyncExitStack() as stack:
        driver = await stack.enter_async_context(async_playwright())
        browser = await driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        stack.push_async_callback(browser.close)

        async def opened(who: str = "ann", **how: Any) -> Window:
            headers = {"x-who": who}
            context = await browser.new_context(extra_http_headers=headers, **how)
            return Window(await context.new_page(), base)

        yield opened
    server.should_exit = True
    await serving
    listening.close()


async def hostile(store: Store) -> str:
    """A session that says the worst in every field; its id."""
    session_id = HOSTILE[:120]
    await store.sessions.get_or_create(
        session_id, user_id=HOSTILE[:100], language="en", title=HOSTILE
    )
    await store.sessions.patch(session_id, add_tags=[HOSTILE[:80]])
    call = {
        "type": "function",
        "id": "c",
        "function": {"name": HOSTILE, "arguments": HOSTILE},
    }
    picture = {"type": "image_url", "image_url": {"url": "http://evil.example/i.png"}}
    await store.turns.append(session_id, role="user", content=HOSTILE)
    await store.turns.append(session_id, role="assistant", parts=[call])
    await store.turns.append(
        session_id,
        role="tool",
        content=HOSTILE * 5,
        tool_call_id="c",
        name=HOSTILE[:60],
    )
    said = {"type": "text", "text": HOSTILE}
    turn = await store.turns.append(
        session_id, role="assistant", parts=[said, picture], model=HOSTILE[:90]
    )
    await store.turns.append(
        session_id, role="assistant", content=HOSTILE, parent_seq=turn.parent_seq
    )
    for label, actor_id in (("thumbs_up", HOSTILE[:70]), (HOSTILE[:60], "bo")):
        await store.interactions.record(
            session_id,
            action="feedback",
            turn_seq=turn.seq,
            feedback=label,
            content=HOSTILE,
            actor_id=actor_id,
        )
    await store.holds.place(session_id, reason=HOSTILE, actor_id=HOSTILE[:70])
    await store.queues.put("q", question=HOSTILE, user_id=HOSTILE[:100], raters=3)
    return session_id


async def naughty(store: Store, folder: Path) -> None:
    """A session for each string that has broken other programs, and one of all."""
    file = folder / "naughty-strings" / "strings.jsonl.gz"
    mapping = mapping_of("naughty-strings")
    await store.import_("map", file, mapping=mapping, replace_invalid=True)
    page = await store.sessions.list(limit=60)
    said = [(await store.turns.list(one.id)).items[0].content for one in page.items]
    await store.sessions.get_or_create("naughty")
    await store.turns.append_many(
        "naughty", [{"role": "assistant", "content": text} for text in said if text]
    )


async def worst_of_all(store: Store, data_sets: Path, real_data: Path) -> list[str]:
    """The addresses of every page, over a store with the worst in every field."""
    await naughty(store, real_data)
    await talk(store)
    session_id = quote(await hostile(store), safe="")
    gone, erased = (f"{HOSTILE[:100]} {n}" for n in (1, 2))
    for one in (gone, erased):
        await talk(store, one)
    await store.sessions.delete(gone)
    receipt = await store.erase(session_id=erased)
    await store.ledger.pin("s-1", model=HOSTILE[:90])
    await store.ledger.add_cost("s-1", micros=1_250_000)
    of_tenant = data_sets / "tenant=default"
    await store.export(["kto", "preference"], to=of_tenant / "both", title=HOSTILE)
    await store.run_retention(older_than_s=0, tenant_id="nobody")
    return [
        "/",
        "/conversation?id=naughty",
        "/?only=disagreed",
        "/?state=deleted",
        "/?title=nobody",
        f"/?user={quote(HOSTILE[:100], safe='')}",
        f"/bulk?user={quote(HOSTILE[:100], safe='')}",
        f"/conversation?id={quote(gone, safe='')}",
        f"/receipt?id={receipt.erasure_id}",
        "/search",
        "/search?q=document",
        f"/conversation?id={session_id}",
        f"/compare?id={session_id}&one=4&other=5",
        "/queues",
        "/judge?queue=q",
        "/disagreements",
        "/datasets?format=kto",
        "/datasets",
        "/dataset?name=both/kto",
        "/retention",
        "/archive",
        "/cost",
        "/people",
        "/?state=wrong",
    ]


def axe_source() -> str:
    from axe_playwright_python.base import AXE_FILE_PATH

    return Path(AXE_FILE_PATH).read_text("utf-8")


OVER = "document.documentElement.scrollWidth - window.innerWidth"
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}


@pytest.mark.slow
async def test_every_page_shows_hostile_words_and_does_nothing_with_them(
    store: Store, window: Open, tmp_path: Path, real_data: Path
) -> None:
    """At three widths, in both schemes, with nothing serious that axe finds."""
    axe, found = axe_source(), []
    pages = await worst_of_all(store, tmp_path / "data-sets", real_data)
    looking = await window(
        viewport={"width": 390, "height": 800}, reduced_motion="reduce"
    )
    for path in pages:
        await looking.page.emulate_media(color_scheme="light")
        answer = await looking.go(path)
        body = await answer.body()

        assert answer.status == (422 if path.endswith("wrong") else 200), path
        assert len(body) < 100_000, path
        for width in (800, 1440, 390):
            await looking.page.set_viewport_size({"width": width, "height": 800})
            assert await looking.page.evaluate(OVER) <= 0, (path, width)
        assert "owned" not in (await looking.page.title())[:5], path
        assert await looking.page.locator("iframe, main script").count() == 0
        assert await looking.page.locator("main img:not(.plots img)").count() == 0
        # As the browser's tools do, past the policy of the page, which stays.
        await looking.page.evaluate(axe)
        for scheme, how in (("light", {}), ("dark", CONTRAST)):
            await looking.page.emulate_media(color_scheme=scheme)
            seen = await looking.page.evaluate("how => axe.run(document, how)", how)
            found += [
                (scheme, path, one["id"], [node["html"][:120] for node in one["nodes"]])
                for one in seen["violations"]
                if one["impact"] in SERIOUS
            ]

    assert found == []
    assert looking.foreign == []
    assert [told for told in looking.complaints if "422" not in told] == []


async def test_keys_judge_once_and_the_rows_beside_change(
    store: Store, window: Open
) -> None:
    await talk(store)
    ann = await window()
    await ann.go("/conversation?id=s-1")
    before = await ann.page.locator(".row-made b", has_text="kto").count()

    await ann.page.keyboard.press("j")
    await ann.page.keyboard.press("j")
    await ann.press("u")
    await ann.page.locator(".row-made", has_text="turn 3 as good").wait_for()
    stored = (await store.interactions.list("s-1")).items
    await ann.press("z")
    await ann.page.locator("text=Nobody has judged this yet.").wait_for()
    await ann.page.keyboard.press("?")
    keys = await ann.page.locator("#keys").is_visible()
    await ann.page.keyboard.press("Escape")
    for letter, title in (("d", "Data sets"), ("r", "Retention"), ("s", "Sessions")):
        await ann.page.keyboard.press("g")
        await ann.page.keyboard.press(letter)
        await ann.page.locator("h1", has_text=title).wait_for()
        await ann.page.wait_for_load_state()
    await ann.page.keyboard.press("j")
    await ann.page.keyboard.press("Enter")
    await ann.page.locator("text=Nobody has judged this yet.").wait_for()
    await ann.page.wait_for_load_state()
    await ann.page.keyboard.press("/")
    await ann.page.keyboard.type("pleasure")
    await ann.page.keyboard.press("Enter")
    await ann.page.locator("mark", has_text="pleasure").wait_for()

    assert before == 1
    assert [(act.turn_seq, act.feedback) for act in stored] == [(3, "thumbs_up")]
    assert await store.interactions.effective("s-1") == ()
    assert keys
    assert ann.complaints == []


@pytest.mark.slow
async def test_every_form_works_without_script(store: Store, window: Open) -> None:
    await talk(store)
    ann = await window(java_script_enabled=False)
    page, button = ann.page, ann.page.get_by_role
    await ann.go("/conversation?id=s-1")

    await button("button", name="Good", exact=True).click()
    await page.get_by_text("turn 3 as good").wait_for()
    await ann.go("/compare?id=s-1&one=2&other=3")
    await button("button", name="Neither").click()
    await page.get_by_text("Judgements in force").wait_for()
    await page.locator("summary", has_text="Place a hold").click()
    await page.get_by_label("Reason").fill("audit")
    await button("button", name="Hold", exact=True).click()
    await page.locator(".head .chip", has_text="held").wait_for()
    await page.locator("summary", has_text="Export").click()
    of_export = page.locator('form[action^="/export"]')
    await of_export.get_by_label("The id of the session").fill("s-1")
    async with page.expect_download() as download:
        await of_export.get_by_role("button", name="Save").click()
    saved = (await download.value).suggested_filename
    await ann.go("/bulk?user=u-1")
    await page.locator("select[name=do]").select_option("delete")
    await button("button", name="Look first").click()
    await page.get_by_label("Type how many").fill("1")
    await button("button", name="Delete", exact=True).click()
    await page.get_by_text("1 left as they are: legal hold").wait_for()
    await ann.go("/queues")
    await page.get_by_label("Name", exact=True).fill("q")
    await button("button", name="Store").click()
    await page.locator("td", has_text="q").first.wait_for()
    await ann.go("/datasets?format=kto")
    await page.get_by_label("Under this name").fill("kto-1")
    await button("button", name="Write kto").click()
    await page.locator("h2", has_text="Manifest").wait_for()

    acts = (await store.interactions.list("s-1")).items
    assert [act.action for act in acts] == ["feedback", "choose"]
    assert saved == "conversation.md"
    assert await page.locator("h1").inner_text() == "kto-1"
    # The download ends what would have been a page; nothing else may complain.
    assert ann.foreign == []


async def test_two_raters_share_a_queue_by_keys_alone(
    store: Store, window: Open
) -> None:
    for number in range(4):
        chat = store.conversation(f"s-{number}")
        await chat.append(role="user", content=f"Question {number}?")
        await chat.append(role="assistant", content=f"Answer {number}.")
    await store.queues.put("q")
    ann, bo = await window("ann"), await window("bo")
    await ann.go("/judge?queue=q")
    await bo.go("/judge?queue=q")

    for _ in range(2):
        one, other = [
            await who.page.locator(".answer").inner_text() for who in (ann, bo)
        ]
        assert one != other
        await ann.press("u")
        await bo.page.keyboard.press("c")
        await bo.page.keyboard.type("No.")
        await bo.page.keyboard.press("Escape")
        await bo.press("Enter")

    for who in (ann, bo):
        await who.page.locator("text=Nothing is left for you").wait_for()
    judged = [
        (act.actor_id, act.feedback or act.content)
        for number in range(4)
        for act in (await store.interactions.list(f"s-{number}")).items
    ]
    assert sorted(judged) == [("ann", "thumbs_up")] * 2 + [("bo", "No.")] * 2


async def test_a_form_of_another_site_is_refused_by_what_the_browser_says(
    store: Store, window: Open
) -> None:
    await talk(store)
    ann = await window()
    other = ann.base.replace("127.0.0.1", "localhost")
    await ann.page.goto(f"{other}/search")
    form = (
        f"<form method=post action='{ann.base}/judge?id=s-1&turn=3'>"
        "<input name=act value=abcdefgh><input name=label value=x></form>"
    )
    blank = await ann.page.context.new_page()
    await blank.set_content(form)

    async with blank.expect_navigation():
        await blank.evaluate("document.forms[0].submit()")

    assert "another site" in await blank.content()
    assert (await store.sessions.get("s-1")).interaction_count == 0
