"""The pages of `docs/howto/frameworks/vercel-ai-and-ag-ui.md`, as they stand there, in
a real Chromium: the SDKs' own clients, the server of the page, and a store behind it.
A function stands in for the model; the wire between browser and server can be cut.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import runpy
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ag_ui")
pytest.importorskip("playwright")

import uvicorn
from pydantic_ai.messages import ModelMessage, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import DeltaToolCall, FunctionModel

from convstore import Store, StoreConfig, open_store
from tests.summary import leave_out, note_tested

ROOT = Path(__file__).resolve().parents[3]
HOWTO = ROOT / "docs" / "howto" / "frameworks" / "vercel-ai-and-ag-ui.md"
CHROMIUM = os.environ.get("CONVSTORE_TEST_CHROMIUM") or shutil.which("chromium")
_BLOCK = re.compile(r'^```\w+ title="(.+?)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_COMMANDS = re.compile(r"^```sh\n(npm install .*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def built(pytestconfig: pytest.Config) -> Path:
    """The files of the how-to, and what its commands make of them; kept until either
    changes, as the packages come from the registry."""
    if CHROMIUM is None:
        leave_out(pytestconfig, "chromium", "no chromium: apt-get install chromium")
    if shutil.which("npm") is None:
        leave_out(pytestconfig, "npm", "no npm, with which the pages are built")
    note_tested(pytestconfig, "chromium", str(CHROMIUM))
    text = HOWTO.read_text("utf-8")
    (commands,) = _COMMANDS.findall(text)
    blocks = dict(_BLOCK.findall(text))
    kept = hashlib.sha256(json.dumps([commands, blocks]).encode()).hexdigest()[:16]
    folder = ROOT / ".cache" / f"pages-{kept}"
    if not (folder / "built").exists():
        shutil.rmtree(folder, ignore_errors=True)
        for name, block in blocks.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(block, "utf-8")
        quiet = {"npm_config_audit": "false", "npm_config_fund": "false"}
        subprocess.run(
            ["sh", "-euc", commands],
            cwd=folder,
            env=os.environ | quiet | {"npm_config_ignore_scripts": "true"},
            check=True,
            capture_output=True,
            timeout=600,
        )
        (folder / "built").touch()
    return folder


class Model:
    """Speaks in two halves, and says how much it was told; asks a tool for weather."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.ended = asyncio.Event()
        self.runs = 0

    async def speak(self, messages: list[ModelMessage], _: Any) -> AsyncIterator[Any]:
        parts = [part for message in messages for part in message.parts]
        asked = [part.content for part in parts if isinstance(part, UserPromptPart)]
        if "eather" in str(asked[-1]) and not isinstance(parts[-1], ToolReturnPart):
            call = DeltaToolCall("weather", '{"city": "Utrecht"}', tool_call_id="c-1")
            yield {0: call}
            return
        self.runs += 1
        self.ended.clear()
        try:
            yield f"Answer {self.runs} "
            await self.may_end.wait()
            yield f"to {len(asked)} questions."
        finally:
            self.ended.set()


class Wire:
    """Between browser and server: it can be cut, and goes on for who comes again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._open: set[asyncio.StreamWriter] = set()

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        other, onward = await asyncio.open_connection("127.0.0.1", self.port)
        ends = {writer, onward}
        self._open |= ends
        try:
            await asyncio.gather(self._pump(reader, onward), self._pump(other, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            writer.transport.abort()

    def cut(self) -> None:
        for end in tuple(self._open):
            end.transport.abort()


class Visit:
    """A page of the browser in front of the server."""

    def __init__(self, page: Any, base: str, model: Model, wire: Wire) -> None:
        self.page, self.base, self.model, self.wire = page, base, model, wire
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._note)
        # What failed is looked at here, and hangs nothing for the usual half a minute.
        page.set_default_timeout(120_000)

    def _note(self, request: Any) -> None:
        if not request.url.startswith(self.base):
            self.complaints.append(request.url)

    async def idle(self) -> None:
        """Wait until the page may ask, and what it shows is stored."""
        ask = self.page.get_by_role("button", name="Ask", exact=True)
        await ask.and_(self.page.locator(":enabled")).wait_for()

    async def reload(self) -> None:
        await self.idle()
        await self.page.reload()

    async def go(self, path: str) -> None:
        await self.page.goto(f"{self.base}{path}?id=c-1")
        await self.page.get_by_label("Question").wait_for()

    async def ask(self, text: str) -> None:
        await self.page.get_by_label("Question").fill(text)
        await self.page.get_by_role("button", name="Ask", exact=True).click()

    async def see(self, *lines: str) -> None:
        """Wait until the page shows just this, word by word; how much of it is one
        message differs between what streams and what was stored."""
        await self.page.wait_for_function(
            "text => [...document.querySelectorAll('li')].map(one => one.innerText)"
            ".join(' ').replace(/\\s+/g, ' ').trim() === text",
            arg=" ".join(lines),
        )

    async def press(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def break_off(self, question: str, *before: str) -> None:
        """Ask, and cut the wire in the middle of the answer."""
        self.model.may_end.clear()
        run = self.model.runs + 1
        await self.ask(question)
        await self.see(*before, question, f"Answer {run}")
        self.wire.cut()
        await self.page.get_by_text("The answer broke off.").wait_for()
        # The server has heard of it, and stopped.
        await self.model.ended.wait()
        self.model.may_end.set()


@pytest.fixture
async def store(database_url: str, archive_dir: Path) -> AsyncIterator[Store]:
    """At the time of the server's own."""
    config = StoreConfig(url=database_url, archive_dir=archive_dir)
    async with open_store(config) as opened:
        yield opened


@pytest.fixture
async def visit(
    built: Path,
    database_url: str,
    archive_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Visit]:
    from playwright.async_api import async_playwright

    monkeypatch.setenv("CHAT_URL", database_url)
    monkeypatch.setenv("CONVSTORE_ARCHIVE_DIR", str(archive_dir))
    monkeypatch.setenv("OPENAI_API_KEY", "none: nobody is asked")
    monkeypatch.chdir(built)
    served, model = runpy.run_path(str(built / "server.py")), Model()
    served["agent"].model = FunctionModel(stream_function=model.speak)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(served["app"]))
        wire = Wire(port)
        carrying = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
        stack.push_async_callback(carrying.wait_closed)
        stack.callback(wire.cut)
        stack.callback(carrying.close)
        base = f"http://127.0.0.1:{carrying.sockets[0].getsockname()[1]}"
        driver = await stack.enter_async_context(async_playwright())
        browser = await driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        stack.push_async_callback(browser.close)
        yield Visit(await browser.new_page(), base, model, wire)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """The port of a server that runs in this loop."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    task = asyncio.create_task(server._serve([listening]))
    yield listening.getsockname()[1]
    server.should_exit = True
    await task
    listening.close()


async def said(store: Store) -> list[str | None]:
    return [turn.content for turn in await store.turns.branch("c-1")]


async def test_a_conversation_on_a_page_of_the_vercel_sdk_is_kept(
    visit: Visit, store: Store
) -> None:
    model = visit.model
    await visit.go("/")
    await visit.see()
    model.may_end.clear()
    await visit.ask("Weather in Utrecht?")
    # As it comes, the tool before the answer.
    await visit.see("Weather in Utrecht?", "weather: rain in Utrecht Answer 1")
    model.may_end.set()
    talk = [
        "Weather in Utrecht?",
        "weather: rain in Utrecht Answer 1 to 1 questions.",
    ]
    await visit.see(*talk)
    await visit.press("Good")
    await visit.page.get_by_role("button", name="Good").wait_for(state="detached")
    await visit.reload()
    await visit.see(*talk)

    await visit.ask("And then?")
    await visit.see(*talk, "And then?", "Answer 2 to 2 questions.")
    await visit.press("Another answer")
    talk += ["And then?", "Answer 3 to 2 questions."]
    await visit.see(*talk)
    await visit.idle()
    await store.run_retention(older_than_s=0)
    await visit.reload()
    await visit.see(*talk)

    await visit.idle()
    before = await said(store)
    await visit.break_off("And at last?", *talk)
    assert await said(store) == before
    await visit.press("Ask again")
    talk += ["And at last?", "Answer 5 to 3 questions."]
    await visit.see(*talk)
    await visit.reload()
    await visit.see(*talk)
    assert await said(store) == [*before, *talk[-2:]]

    (act,) = await store.interactions.effective("c-1")
    judged = await store.turns.get("c-1", act.turn_seq or 0)
    assert (act.feedback, judged.content) == ("thumbs_up", "Answer 1 to 1 questions.")
    assert (await store.sessions.get("c-1")).user_id == "ann"
    assert visit.complaints == []


async def test_a_conversation_over_ag_ui_is_the_one_of_the_other_page(
    visit: Visit, store: Store
) -> None:
    await visit.go("/ag-ui.html")
    await visit.ask("Weather in Utrecht?")
    first = ["Weather in Utrecht?", "weather…", "rain in Utrecht"]
    await visit.see(*first, "Answer 1 to 1 questions.")
    await visit.reload()
    await visit.see(*first, "Answer 1 to 1 questions.")

    await visit.idle()
    before = await said(store)
    await visit.break_off("And then?", *first, "Answer 1 to 1 questions.")
    await visit.see(*first, "Answer 1 to 1 questions.")
    assert await said(store) == before
    await visit.press("Ask")
    talk = [*first, "Answer 1 to 1 questions.", "And then?", "Answer 3 to 2 questions."]
    await visit.see(*talk)

    await visit.idle()
    await visit.go("/")
    other = [
        "Weather in Utrecht?",
        "weather: rain in Utrecht Answer 1 to 1 questions.",
        *talk[-2:],
    ]
    await visit.see(*other)
    await visit.ask("At last?")
    await visit.see(*other, "At last?", "Answer 4 to 3 questions.")
    await visit.idle()
    await visit.go("/ag-ui.html")
    await visit.see(*talk, "At last?", "Answer 4 to 3 questions.")
    # Beside the rejection that the page hears of, the client leaves one to nobody.
    assert set(visit.complaints) <= {"network error"}
    turns = await store.turns.branch("c-1")
    assert [turn.seq for turn in turns] == [*range(1, len(turns) + 1)]
