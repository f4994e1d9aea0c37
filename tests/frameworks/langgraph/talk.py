"""Messages as graphs add them, and a graph that only keeps what it is given."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolMessage,
)
from langgraph.graph import START, MessagesState, StateGraph

from convstore.adapters.langgraph import ConvstoreSaver
from convstore.testing.framework_suite import (
    ANSWER,
    CITIES,
    OWNER,
    QUESTION,
    RESULTS,
    WEATHER,
)


def keeping(saver: ConvstoreSaver) -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node("keep", lambda _: {})
    builder.add_edge(START, "keep")
    return builder.compile(checkpointer=saver)


def thread(name: str) -> Any:
    return {"configurable": {"thread_id": name, "user_id": OWNER}}


def asked(text: str) -> HumanMessage:
    return HumanMessage(text, id=f"asked-{text}")


def talk() -> list[BaseMessage]:
    calls = [
        {"name": WEATHER, "args": {"city": city}, "id": call_id, "type": "tool_call"}
        for call_id, city in CITIES.items()
    ]
    given = [
        ToolMessage(result, tool_call_id=call_id, name=WEATHER, id=f"given-{call_id}")
        for call_id, result in RESULTS.items()
    ]
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    return [
        asked(QUESTION),
        AIMessage("", tool_calls=calls, id="called", usage_metadata=usage),
        *given,
        AIMessage(ANSWER, id="answered", response_metadata={"model_name": "m-1"}),
    ]


def odd() -> list[BaseMessage]:
    return [
        HumanMessage("nul \x00", id="odd-1", name="n" * 300),
        ToolMessage("", tool_call_id="", id="odd-2", artifact={"raw": b"\x00\xff"}),
        SystemMessage("Be brief.", id="odd-3"),
        ChatMessage("Hm.", role="critic", id="odd-4"),
        HumanMessage(
            [
                {"type": "text", "text": "See"},
                {"type": "image_url", "image_url": {"url": "https://example.org/a"}},
            ],
            id="odd-6",
        ),
        AIMessage(
            [{"type": "reasoning", "reasoning": "Hm.", "index": 0}, "Three."],
            id="o" * 300,
            invalid_tool_calls=[
                InvalidToolCall(name="f", args="{", id="c", error="no")
            ],
        ),
    ]
