"""Kills processes that write through adapters, and checks what they leave.

    python -m tests.frameworks.killed URL KILLS SEED

Workers are forked from a process that has imported the frameworks and opened nothing.
Each tells what it is about to write, and what was acknowledged; it is killed after so
many words, whatever it is doing then. Prints a report as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    TextPart,
    UserPromptPart,
)

from convstore import Store, open_store
from convstore.adapters.google_adk import ConvstoreSessionService
from convstore.adapters.langgraph import ConvstoreSaver
from convstore.adapters.openai_agents import ConvstoreSession
from convstore.adapters.pydantic_ai import ConvstoreConversations

Line = dict[str, Any]
ADK: dict[str, str] = {"app_name": "shop", "user_id": "ann", "session_id": "adk"}


class Writer:
    """Writes under one name after another with each framework, until it is killed."""

    def __init__(self, store: Store, run: int, tell: Callable[[Line], None]) -> None:
        self.store, self.run, self.tell = store, run, tell

    async def write(self) -> None:
        await asyncio.gather(
            *(self.repeat(each) for each in ("openai", "langgraph", "adk", "pydantic"))
        )

    async def repeat(self, framework: str) -> None:
        write: Callable[[list[str]], Awaitable[None]] = getattr(self, framework)
        for number in range(10_000):
            names = [f"{framework}-{self.run}-{number}-{part}" for part in "ab"]
            self.tell({"framework": framework, "names": names, "done": False})
            await write(names)
            self.tell({"framework": framework, "names": names, "done": True})

    async def openai(self, names: list[str]) -> None:
        session = ConvstoreSession("openai", self.store, user_id="ann")
        roles = zip(("user", "assistant"), names, strict=True)
        await session.add_items([{"role": r, "content": name} for r, name in roles])

    async def langgraph(self, names: list[str]) -> None:
        asked, answer = names
        app = graph(self.store, answer)
        await app.ainvoke({"messages": [HumanMessage(asked, id=asked)]}, THREAD)

    async def adk(self, names: list[str]) -> None:
        service = ConvstoreSessionService(self.store)
        session = await service.get_session(**ADK)
        if session is None:
            session = await service.create_session(**ADK, state={"count": 0})
        parts = [types.Part(text=" ".join(names))]
        delta = {"count": session.state["count"] + 1, "user:last": names[-1]}
        event = Event(
            author="user",
            invocation_id=names[0],
            content=types.Content(role="user", parts=parts),
            actions=EventActions(state_delta=delta),
        )
        await service.append_event(session, event)

    async def pydantic(self, names: list[str]) -> None:
        conversations = ConvstoreConversations(self.store)
        talk = await conversations.load("pydantic", scope="ann")
        talk = talk or Conversation(conversation_id="pydantic")
        asked, answer = names
        talk.messages = [
            *talk.messages,
            ModelRequest([UserPromptPart(asked)]),
            ModelResponse([TextPart(answer)]),
        ]
        talk.usage.requests += 1
        await conversations.save(talk, scope="ann")


THREAD: Any = {"configurable": {"thread_id": "langgraph", "user_id": "ann"}}


def graph(store: Store, answer: str) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("say", lambda _: {"messages": [AIMessage(answer, id=answer)]})
    builder.add_edge(START, "say")
    return builder.compile(checkpointer=ConvstoreSaver(store))


async def left(store: Store) -> tuple[dict[str, list[str]], list[str]]:
    """What each framework reads back, and what does not fit together."""
    wrong = []
    items = await ConvstoreSession("openai", store).get_items()
    # Not the state: that has what tasks have written since, too.
    latest = await ConvstoreSaver(store).aget_tuple(THREAD)
    assert latest is not None
    messages = latest.checkpoint["channel_values"].get("messages", [])
    turns = [turn.content for turn in await store.turns.branch("langgraph")]
    if [message.content for message in messages] != turns:
        wrong.append("the checkpoint names other messages than the branch has")
    session = await ConvstoreSessionService(store).get_session(**ADK)
    assert session is not None
    if session.state["count"] != len(session.events):
        wrong.append("the state is not that of the events")
    talk = await ConvstoreConversations(store).load("pydantic", scope="ann")
    assert talk is not None
    if 2 * talk.usage.requests != len(talk.messages):
        wrong.append("the usage is not that of the messages")
    said = [event.content.parts[0].text for event in session.events if event.content]
    return {
        "openai": [item["content"] for item in items],
        "langgraph": [message.content for message in messages],
        "adk": [name for text in said for name in text.split()],
        "pydantic": [message.parts[0].content for message in talk.messages],
    }, wrong


def check(lines: list[Line], found: dict[str, list[str]]) -> list[str]:
    """What was acknowledged and is not there, in its order; what is there in part."""
    wrong = []
    for framework, names in found.items():
        own = [line for line in lines if line["framework"] == framework]
        done = [n for line in own if line["done"] for n in line["names"]]
        known = set(done)
        if [name for name in names if name in known] != done:
            wrong.append(f"{framework}: what was acknowledged is lost, or out of order")
        if len(set(names)) != len(names):
            wrong.append(f"{framework}: something is there twice")
        for line in own:
            # A run of a graph is several steps, each of which is whole.
            there = sum(name in names for name in line["names"])
            if framework != "langgraph" and there not in (0, len(line["names"])):
                wrong.append(f"{framework}: something is there in part")
    return wrong


def forked(work: Callable[[Callable[[Line], None]], Awaitable[None]]) -> Any:
    """The process that does the work, and where it is heard."""
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(heard)

        def tell(line: Line) -> None:
            os.write(told, json.dumps(line).encode() + b"\n")

        status = 1
        try:
            asyncio.run(work(tell))  # type: ignore[arg-type]
            status = 0
        finally:
            os._exit(status)
    os.close(told)
    return pid, os.fdopen(heard, "rb")


def main(url: str, kills: int, seed: int) -> None:
    chosen, lines = random.Random(seed), []
    for run in range(kills):

        async def write(tell: Callable[[Line], None], run: int = run) -> None:
            async with open_store(url) as store:
                await Writer(store, run, tell).write()

        pid, heard = forked(write)
        # Of each run so much that all four have been acknowledged something.
        words = chosen.randint(20, 60)
        for number, word in enumerate(heard, 1):
            lines.append(json.loads(word))
            if number == words:
                os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), "a worker ended by itself"

    async def look(tell: Callable[[Line], None]) -> None:
        async with open_store(url) as store:
            found, wrong = await left(store)
            tell({"found": found, "wrong": wrong})

    pid, heard = forked(look)
    (told,) = [json.loads(word) for word in heard]
    os.waitpid(pid, 0)
    wrong = [*told["wrong"], *check(lines, told["found"])]
    counts = {name: len(names) for name, names in told["found"].items()}
    acknowledged = sum(line["done"] for line in lines)
    report = {"wrong": wrong, "found": counts, "acknowledged": acknowledged}
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
