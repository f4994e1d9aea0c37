"""Messages as LlamaIndex's agents add them."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)

from convstore.testing.framework_suite import (
    ANSWER,
    CITIES,
    QUESTION,
    RESULTS,
    WEATHER,
)


def asked(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=text)


def called(call_id: str, city: str) -> ToolCallBlock:
    kwargs: dict[str, Any] = {"city": city}
    return ToolCallBlock(tool_call_id=call_id, tool_name=WEATHER, tool_kwargs=kwargs)


def result(call_id: str, text: str) -> ChatMessage:
    more = {"tool_call_id": call_id, "name": WEATHER}
    return ChatMessage(role="tool", content=text, additional_kwargs=more)


TALK = [
    asked(QUESTION),
    ChatMessage(role="assistant", blocks=[called(*each) for each in CITIES.items()]),
    *[result(*each) for each in RESULTS.items()],
    ChatMessage(role="assistant", content=ANSWER),
]
ODD = [
    ChatMessage(
        role="user", content="nul \x00 and \ud83d", additional_kwargs={"n": 2**70}
    ),
    ChatMessage(role="assistant", content=""),
    ChatMessage(role="chatbot", blocks=[]),
    ChatMessage(role="tool", content="x", additional_kwargs={"tool_call_id": ""}),
    ChatMessage(
        role="assistant",
        blocks=[
            ThinkingBlock(content="Hm.", additional_information={"signature": "s"}),
            TextBlock(text="One."),
            TextBlock(text="Two."),
            ToolCallBlock(tool_name="f" * 300, tool_kwargs="no json"),
        ],
    ),
    ChatMessage(role="user", blocks=[ImageBlock(url="https://e.nl/a.png")]),
]
