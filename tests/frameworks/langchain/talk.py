"""Messages as LangChain's chains add them."""

from __future__ import annotations

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from convstore.testing.framework_suite import (
    ANSWER,
    CITIES,
    QUESTION,
    RESULTS,
    WEATHER,
)


def asked(text: str) -> BaseMessage:
    return HumanMessage(text)


TALK: list[BaseMessage] = [
    asked(QUESTION),
    AIMessage(
        "",
        tool_calls=[
            {"name": WEATHER, "args": {"city": city}, "id": call_id}
            for call_id, city in CITIES.items()
        ],
    ),
    *[ToolMessage(text, tool_call_id=call_id) for call_id, text in RESULTS.items()],
    AIMessage(
        ANSWER,
        id="run-1",
        response_metadata={"model_name": "m-1", "finish_reason": "stop"},
        usage_metadata={"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
    ),
]
ODD: list[BaseMessage] = [
    HumanMessage("nul \x00 and \ud83d", additional_kwargs={"n": 2**70}),
    SystemMessage(""),
    ToolMessage("x", tool_call_id=""),
    ToolMessage("no", tool_call_id="c", status="error", artifact={"rows": [1]}),
    ChatMessage("Hm.", role="critic"),
    AIMessageChunk("Th"),
    AIMessage(
        [
            {"type": "reasoning", "reasoning": "Hm."},
            {"type": "text", "text": "One."},
            {"type": "text", "text": "Two."},
        ],
        invalid_tool_calls=[
            {
                "name": "f" * 300,
                "args": "no json",
                "id": None,
                "error": "bad",
                "type": "invalid_tool_call",
            }
        ],
    ),
    HumanMessage([{"type": "image", "url": "https://e.nl/a.png"}]),
]
