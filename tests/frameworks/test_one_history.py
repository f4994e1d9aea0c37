"""One conversation under four frameworks, in turns, each of which sees all of it: then
judged, archived, restored, continued, and exported as a row that trainers take."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("agents")
pytest.importorskip("google.adk")
pytest.importorskip("langgraph.graph")
pytest.importorskip("pydantic_ai")

from google.adk.agents import BaseAgent
from google.adk.events.event import Event
from google.adk.runners import Runner
from google.genai import types
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel

from convstore import Store
from convstore.adapters.google_adk import ConvstoreSessionService
from convstore.adapters.langgraph import ConvstoreSaver
from convstore.adapters.openai_agents import ConvstoreSession
from convstore.adapters.pydantic_ai import ConvstoreConversations
from convstore.testing.framework_suite import (
    ANSWER,
    CITIES,
    OWNER,
    QUESTION,
    RESULTS,
    calls,
)

# The row as it was exported: `tests/unit/export/test_trainers.py` trains on it, where
# trainers are and frameworks are not.
ROW = Path(__file__).resolve().parents[1] / "data" / "journey.jsonl"


class Journey:
    """A conversation, and all that was said in it so far."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.said = [QUESTION, *CITIES, *CITIES.values(), ANSWER]

    async def begin(self) -> None:
        """Under the OpenAI Agents SDK: two calls at once."""
        called = [
            {
                "type": "function_call",
                "id": f"fc_{call['id']}",
                "call_id": call["id"],
                **call["function"],
            }
            for call in calls()
        ]
        given = [
            {"type": "function_call_output", "call_id": call_id, "output": result}
            for call_id, result in RESULTS.items()
        ]
        await self.session().add_items(
            [
                {"role": "user", "content": QUESTION},
                *called,
                *given,
                {"role": "assistant", "content": ANSWER},
            ]
        )

    def session(self) -> ConvstoreSession:
        return ConvstoreSession("s", self.store, user_id=OWNER)

    def seen(self, view: Any, question: str) -> str:
        """The answer of whoever sees this; it must be everything."""
        text = repr(view)
        for word in (*self.said, question):
            assert word in text, word
        answer = f"Answer to {question}"
        self.said += [question, answer]
        return answer

    async def openai_agents(self, question: str) -> None:
        session = self.session()
        await session.add_items([{"role": "user", "content": question}])
        answer = self.seen(await session.get_items(), question)
        await session.add_items([{"role": "assistant", "content": answer}])

    async def langgraph(self, question: str) -> None:
        def answer(state: MessagesState) -> Any:
            return {"messages": [AIMessage(self.seen(state["messages"], question))]}

        builder = StateGraph(MessagesState)
        builder.add_node("answer", answer)
        builder.add_edge(START, "answer")
        app = builder.compile(checkpointer=ConvstoreSaver(self.store))
        config: Any = {"configurable": {"thread_id": "s", "user_id": OWNER}}
        await app.ainvoke({"messages": [HumanMessage(question)]}, config)

    async def pydantic_ai(self, question: str) -> None:
        def answer(messages: Any, _: Any) -> ModelResponse:
            return ModelResponse([TextPart(self.seen(messages, question))])

        conversations = ConvstoreConversations(self.store)
        talk = await conversations.load("s", scope=OWNER)
        talk = talk or Conversation(conversation_id="s")
        agent = Agent(FunctionModel(answer))
        result = await agent.run(question, conversation=talk)
        await conversations.save(result, scope=OWNER)

    async def google_adk(self, question: str) -> None:
        seen = self.seen

        class Guide(BaseAgent):
            async def _run_async_impl(self, ctx: Any) -> Any:
                text = seen(ctx.session.events, question)
                part = types.Part(text=text)
                content = types.Content(role="model", parts=[part])
                yield Event(
                    author=self.name, invocation_id=ctx.invocation_id, content=content
                )

        runner = Runner(
            app_name="shop",
            agent=Guide(name="guide"),
            session_service=ConvstoreSessionService(
                self.store, agent_name="guide", shared_ids=True
            ),
        )
        new = types.Content(role="user", parts=[types.Part(text=question)])
        said = runner.run_async(user_id=OWNER, session_id="s", new_message=new)
        assert len([event async for event in said]) == 1


def rows_of(folder: Path) -> list[Any]:
    return [
        json.loads(line)
        for path in (folder / "data").iterdir()
        for line in path.read_text("utf-8").splitlines()
    ]


async def test_a_conversation_goes_through_four_frameworks_and_back(
    store: Store, tmp_path: Path
) -> None:
    journey = Journey(store)
    frameworks: list[Callable[[str], Any]] = [
        journey.langgraph,
        journey.pydantic_ai,
        journey.google_adk,
        journey.openai_agents,
    ]
    await journey.begin()
    for number, framework in enumerate([*frameworks, *frameworks[::-1]]):
        await framework(f"Question {number}?")
    answer = (await store.turns.branch("s", limit=1))[0]
    await store.interactions.record(
        "s", turn_seq=answer.seq, action="feedback", feedback="correct", actor_id=OWNER
    )
    assert (await store.run_retention(older_than_s=0)).purged == 1
    assert (await store.sessions.get("s")).state == "archived"
    assert (await store.restore("s")).state == "active"
    for number, framework in enumerate(frameworks, 8):
        await framework(f"Question {number}?")

    turns = await store.turns.branch("s")
    assert [turn.seq for turn in turns] == [*range(1, 6 + 2 * 12 + 1)]
    assert [turn.parent_seq for turn in turns] == [None, *range(1, len(turns))]
    assert (await store.sessions.get("s")).user_id == OWNER
    (act,) = await store.interactions.effective("s")
    assert (act.turn_seq, act.feedback) == (answer.seq, "correct")

    await store.export("messages", to=tmp_path / "out", undefined_tools="infer")
    (row,) = rows_of(tmp_path / "out")
    told = row["messages"]
    assert [message["role"] for message in told] == [
        *("user", "assistant", "tool", "tool", "assistant"),
        *(("user", "assistant") * 12),
    ]
    assert [call["function"]["name"] for call in told[1]["tool_calls"]] == [
        "weather",
        "weather",
    ]
    text = "\n".join(str(message.get("content")) for message in told)
    for word in journey.said[5:]:
        assert word in text
    kept = json.loads(ROW.read_text("utf-8"))
    assert (row["messages"], row["tools"]) == (kept["messages"], kept["tools"])
    assert row["convstore"].keys() == kept["convstore"].keys()
