from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from convstore import Store
from convstore.adapters.langgraph import ConvstoreSaver
from tests.frameworks.writers import Found

THREAD: Any = {"configurable": {"thread_id": "langgraph", "user_id": "ann"}}


class Writer:
    # A run of a graph is several steps, each of which is whole.
    whole = False

    def __init__(self, store: Store) -> None:
        self.store, self.saver = store, ConvstoreSaver(store)

    async def write(self, names: list[str]) -> None:
        asked, answer = names
        builder = StateGraph(MessagesState)
        builder.add_node("say", lambda _: {"messages": [AIMessage(answer, id=answer)]})
        builder.add_edge(START, "say")
        app = builder.compile(checkpointer=self.saver)
        await app.ainvoke({"messages": [HumanMessage(asked, id=asked)]}, THREAD)

    async def read(self) -> Found:
        # Not the state: that has what tasks have written since, too.
        latest = await self.saver.aget_tuple(THREAD)
        if latest is None:
            return [], []
        messages = latest.checkpoint["channel_values"].get("messages", [])
        names = [message.content for message in messages]
        turns = [turn.content for turn in await self.store.turns.branch("langgraph")]
        if names != turns:
            return names, ["the checkpoint names other messages than the branch has"]
        return names, []
