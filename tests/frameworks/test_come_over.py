"""What a framework keeps in its own store is imported, and goes on in ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agents")
pytest.importorskip("google.adk")
pytest.importorskip("langgraph.checkpoint.sqlite")
pytest.importorskip("pydantic_ai")

from agents import SQLiteSession
from google.adk.sessions import DatabaseSessionService
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import ModelMessagesTypeAdapter

from convstore import Store
from convstore.adapters.google_adk import ConvstoreSessionService
from convstore.adapters.langgraph import ConvstoreSaver
from convstore.adapters.openai_agents import ConvstoreSession
from convstore.adapters.pydantic_ai import ConvstoreConversations
from convstore.testing.framework_suite import (
    ANSWER,
    CITIES,
    QUESTION,
    RESULTS,
    WEATHER,
)
from tests.frameworks.google_adk import talk as adk
from tests.frameworks.openai_agents.test_session import (
    ANSWER as ANSWERED,
)
from tests.frameworks.openai_agents.test_session import (
    CALLS,
    TALK,
    THOUGHT,
    USER,
)
from tests.frameworks.openai_agents.test_session import (
    RESULTS as ITEM_RESULTS,
)
from tests.frameworks.pydantic_ai import talk as pydantic

SAID = (QUESTION, *CITIES, *CITIES.values(), *RESULTS.values(), ANSWER)


def seen(view: object, *more: str) -> None:
    text = repr(view)
    for word in (*SAID, *more):
        assert word in text, word


def seen_items(items: list[Any]) -> None:
    text = repr(items)
    for word in (USER["content"], "Utrecht", "Zwolle", "rain", "Rain in both."):
        assert word in text, word


async def come_over(store: Store, form: str, path: Path) -> None:
    report = await store.import_(form, path, user_id="ann")
    assert (report.sessions, dict(report.rejected)) == (1, {}), report


async def test_items_of_openai_agents_come_over(store: Store, tmp_path: Path) -> None:
    theirs = SQLiteSession("s-1", tmp_path / "conversations.db")
    more = {"role": "user", "content": "And tomorrow?"}
    await theirs.add_items([*TALK, more])  # type: ignore[list-item]
    theirs.close()
    await come_over(store, "openai-agents", tmp_path / "conversations.db")

    ours = ConvstoreSession("s-1", store, user_id="ann")
    items = await ours.get_items()
    seen_items(items)
    assert items[-1] == more
    assert [item.get("call_id") for item in items[1:5]] == ["c-1", "c-2"] * 2
    assert await ours.pop_item() == more
    assert await ours.get_items() == items[:-1]
    await ours.add_items([more])
    assert await ours.get_items() == items


async def test_items_that_say_more_than_their_turn_come_over_as_they_were(
    store: Store, tmp_path: Path
) -> None:
    note = {"annotations": [{"type": "url_citation", "url": "https://e.org/1"}]}
    cited = {
        **ANSWERED,
        "content": [{**ANSWERED["content"][0], **note}],
        "phase": "end",
    }
    called = [{**call, "vendor": "kept it for us"} for call in CALLS]
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    given = [USER, THOUGHT, *called, *ITEM_RESULTS, cited, search]
    theirs = SQLiteSession("s-1", tmp_path / "conversations.db")
    await theirs.add_items(given)  # type: ignore[arg-type]
    theirs.close()
    await come_over(store, "openai-agents", tmp_path / "conversations.db")

    ours = ConvstoreSession("s-1", store, user_id="ann")
    items = await ours.get_items()
    assert items == given
    while (item := await ours.pop_item()) is not None:
        assert item == items.pop()
    assert items == []


async def test_events_of_google_adk_come_over(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    where = {"app_name": "shop", "user_id": "ann", "session_id": "s"}
    theirs = DatabaseSessionService(f"sqlite+aiosqlite:///{path}")
    session = await theirs.create_session(**where, state={"n": 1, "user:lang": "nl"})
    for event in adk.talk():
        await theirs.append_event(session, event)
    await theirs.close()
    await come_over(store, "google-adk", path)

    ours = ConvstoreSessionService(store, agent_name="guide")
    listed = (await ours.list_sessions(app_name="shop", user_id="ann")).sessions
    assert [one.id for one in listed] == ["s"]
    known = await ours.get_session(**where)
    assert known is not None
    seen(known.events)
    # Results of calls that were made at once are an event each.
    assert [event.author for event in known.events] == ["user", *["guide"] * 4]
    await ours.append_event(known, adk.asked("And tomorrow?"))
    again = await ours.get_session(**where)
    assert again is not None
    seen(again.events, "And tomorrow?")


async def test_messages_of_pydantic_ai_come_over(store: Store, tmp_path: Path) -> None:
    told = json.loads(ModelMessagesTypeAdapter.dump_json(pydantic.WEATHER))
    for message in told:
        message["conversation_id"] = "c-1"
    (tmp_path / "runs.jsonl").write_text(json.dumps(told), "utf-8")
    await come_over(store, "pydantic-ai", tmp_path / "runs.jsonl")

    ours = ConvstoreConversations(store)
    (record,) = await ours.list_conversations(scope="ann")
    talk = await ours.load(record.conversation_id, scope="ann")
    assert isinstance(talk, Conversation)
    text = repr(talk.messages)
    for word in ("Be brief.", "Two cities.", "c-1", "c-2", "Rain in both."):
        assert word in text
    talk.messages = [*talk.messages, pydantic.asked("And tomorrow?")]
    await ours.save(talk, scope="ann")
    again = await ours.load(record.conversation_id, scope="ann")
    assert again is not None
    assert again.messages == talk.messages


async def test_threads_of_langgraph_come_over(store: Store, tmp_path: Path) -> None:
    calls = [
        {"name": WEATHER, "args": {"city": city}, "id": call_id, "type": "tool_call"}
        for call_id, city in CITIES.items()
    ]
    given = [
        ToolMessage(text, tool_call_id=call_id, id=f"r-{call_id}")
        for call_id, text in RESULTS.items()
    ]
    said = [
        HumanMessage(QUESTION, id="m-1"),
        AIMessage("", id="m-2", tool_calls=calls),
        *given,
        AIMessage(ANSWER, id="m-3", response_metadata={"model_name": "m", "x": [1]}),
    ]

    def graph(saver: Any) -> Any:
        builder = StateGraph(MessagesState)
        builder.add_node("nothing", lambda _: {})
        builder.add_edge(START, "nothing")
        return builder.compile(checkpointer=saver)

    thread: Any = {"configurable": {"thread_id": "s-1", "user_id": "ann"}}
    path = tmp_path / "checkpoints.db"
    with SqliteSaver.from_conn_string(str(path)) as saver:
        for message in said:
            graph(saver).invoke({"messages": [message]}, thread)
    await come_over(store, "langgraph", path)

    app = graph(ConvstoreSaver(store))
    state = await app.aget_state(thread)
    seen(state.values["messages"])
    await app.ainvoke({"messages": [HumanMessage("And tomorrow?")]}, thread)
    state = await app.aget_state(thread)
    seen(state.values["messages"], "And tomorrow?")
    assert len(state.values["messages"]) == len(said) + 1
