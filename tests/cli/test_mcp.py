"""An agent's own MCP client asks `convstore mcp` for what was said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from convstore import StoreConfig, open_store
from tests.cli.conftest import Cli
from tests.integration.conversations import say
from tests.summary import needs

mcp = needs("mcp")


async def fill(cli: Cli) -> None:
    async with open_store(StoreConfig(home=cli.home)) as store:
        for user in ("u-1", "u-2"):
            session_id = f"s-{user}"
            await store.sessions.get_or_create(session_id, user_id=user)
            texts = (f"Wat is {n} appel?" for n in range(3))
            for text in texts:
                await say(store, session_id, text, f"Antwoord op {text}")
        await store.sessions.fork("s-u-1", "s-fork")
        await store.run_retention(older_than_s=0)


@asynccontextmanager
async def client(cli: Cli, *options: str) -> AsyncIterator[Any]:
    command, *arguments = cli.argv("mcp", *options)
    parameters = mcp.StdioServerParameters(
        command=command, args=arguments, env=cli.environment(PYTHONWARNINGS="default")
    )
    async with mcp.Client(parameters) as found:
        yield found


async def ask(found: Any, tool: str, **arguments: Any) -> Any:
    answer = await found.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    return json.loads(answer.content[0].text)


async def test_an_agent_finds_and_reads_what_its_user_said(cli: Cli) -> None:
    await fill(cli)

    async with asyncio.timeout(300), client(cli, "--user", "u-1") as found:
        tools = {tool.name: tool for tool in (await found.list_tools()).tools}
        hits = (await ask(found, "search_sessions", text="appel 2 wat"))["hits"]
        window = await ask(
            found, "read_window", session_id="s-u-1", turn_seq=3, before=1, after=1
        )
        sessions = (await ask(found, "list_sessions"))["sessions"]
        others = await found.call_tool(
            "read_window", {"session_id": "s-u-2", "turn_seq": 1}
        )
        wrong = await found.call_tool("search_sessions", {"text": "x" * 300})

    assert set(tools) == {"search_sessions", "read_window", "list_sessions"}
    assert all(tool.annotations.read_only_hint for tool in tools.values())
    for tool in tools.values():
        assert {"user", "user_id", "tenant"}.isdisjoint(tool.input_schema["properties"])
    assert {hit["session_id"] for hit in hits} <= {"s-u-1", "s-fork"}
    assert len(hits) == 2, "a fork's twins are left out"
    assert [turn["turn_seq"] for turn in window["turns"]] == [2, 3, 4]
    assert window["turns"][1]["quoted"] == "Wat is 1 appel?"
    assert {one["session_id"] for one in sessions} == {"s-u-1", "s-fork"}
    assert others.is_error
    assert wrong.is_error
    assert "256" in wrong.content[0].text


async def test_an_agent_writes_only_where_that_was_said(cli: Cli) -> None:
    await fill(cli)
    options = ("--user", "u-1", "--append", "--without", "s-fork")

    async with asyncio.timeout(300), client(cli, *options) as found:
        added = await ask(
            found, "append", session_id="s-new", role="user", content="peer"
        )
        hits = (await ask(found, "search_sessions", text="peer"))["hits"]
        sessions = (await ask(found, "list_sessions"))["sessions"]

    assert added["turn_seq"] == 1
    assert [hit["session_id"] for hit in hits] == ["s-new"]
    assert "s-fork" not in {one["session_id"] for one in sessions}


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("search_sessions", {}, "text"),
    ("search_sessions", {"text": ["appel"]}, "text"),
    ("search_sessions", {"text": "appel", "order": "worst"}, "order"),
    ("search_sessions", {"text": "appel", "cursor": "x"}, "cursor"),
    ("read_window", {"session_id": "s-u-1", "turn_seq": 99}, "not_found"),
    ("read_window", {"session_id": "nobody", "turn_seq": 1}, "not_found"),
    ("read_window", {"session_id": "", "turn_seq": 1}, "session_id"),
    ("read_window", {"session_id": "s-u-1", "turn_seq": "last"}, "turn_seq"),
    ("list_sessions", {"limit": "many"}, "limit"),
    ("append", {"session_id": "s-u-1", "role": "user", "content": "x"}, ""),
    ("erase", {}, ""),
]


async def test_what_an_agent_asks_wrongly_is_told_and_ends_nothing(cli: Cli) -> None:
    await fill(cli)

    async with asyncio.timeout(300), client(cli, "--user", "u-1") as found:
        for tool, arguments, told in WRONG:
            try:
                answer = await found.call_tool(tool, arguments)
            except mcp.MCPError as error:  # as the client takes it
                said = str(error)
            else:
                assert answer.is_error, (tool, arguments)
                said = answer.content[0].text
            assert told in said, (tool, said)
            assert "Traceback" not in said
        few = await ask(found, "search_sessions", text="appel", limit=-3)
        many = await ask(found, "search_sessions", text="appel", limit=10**9)
        nothing = await ask(found, "search_sessions", text='"')

    assert (len(few["hits"]), nothing["hits"]) == (1, [])
    assert len(many["hits"]) == 6


def test_nobody_is_everybody_by_saying_nothing(cli: Cli) -> None:
    cli.run("db", "upgrade")

    assert cli.run("mcp", "--user", "").code == 2
    assert cli.run("mcp").code == 2
    assert cli.run("mcp", "--user", "u-1", "--all-users").code == 2
