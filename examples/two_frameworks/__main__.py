"""Ask the guide under Pydantic AI, then under LangGraph, in one conversation."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    TextPart,
    UserPromptPart,
)
from pydantic_ai.models.function import FunctionModel

from convstore import Store, open_store
from convstore.adapters.langgraph import ConvstoreSaver
from convstore.adapters.pydantic_ai import ConvstoreConversations
from examples.two_frameworks.guide import answer

USER = "ann"


async def under_pydantic_ai(store: Store, session_id: str, question: str) -> None:
    """Ask as an application does that is written with Pydantic AI."""

    def model(messages: list[ModelMessage], _: Any) -> ModelResponse:
        parts = [part for message in messages for part in message.parts]
        asked = [str(p.content) for p in parts if isinstance(p, UserPromptPart)]
        return ModelResponse([TextPart(answer(asked))])

    conversations = ConvstoreConversations(store)
    talk = await conversations.load(session_id, scope=USER)
    talk = talk or Conversation(conversation_id=session_id)
    result = await Agent(FunctionModel(model)).run(question, conversation=talk)
    await conversations.save(result, scope=USER)


async def under_langgraph(store: Store, session_id: str, question: str) -> None:
    """Ask as an application does that is written with LangGraph."""

    def guide(state: MessagesState) -> Any:
        said = state["messages"]
        asked = [str(one.content) for one in said if isinstance(one, HumanMessage)]
        return {"messages": [AIMessage(answer(asked))]}

    builder = StateGraph(MessagesState)
    builder.add_node("guide", guide)
    builder.add_edge(START, "guide")
    graph = builder.compile(checkpointer=ConvstoreSaver(store))
    thread: Any = {"configurable": {"thread_id": session_id, "user_id": USER}}
    await graph.ainvoke({"messages": [HumanMessage(question)]}, thread)


async def main(url: str) -> None:
    """One conversation of three questions, the last answer judged."""
    async with open_store(url) as store:
        session, _ = await store.sessions.get_or_create(None, user_id=USER)
        await under_pydantic_ai(store, session.id, "Which archives are in Enschede?")
        await under_langgraph(store, session.id, "And in Zwolle?")
        await under_pydantic_ai(store, session.id, "Which of them is the oldest?")
        last = (await store.turns.branch(session.id, limit=1))[0]
        await store.interactions.record(
            session.id, turn_seq=last.seq, action="feedback", feedback="correct"
        )
        sys.stdout.write(await store.render(session.id, "text"))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "sqlite:///convstore.db"))
