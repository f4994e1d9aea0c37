"""Messages as agents of the framework add them."""

from __future__ import annotations

from agent_framework import Content, Message

from convstore.testing.framework_suite import (
    ANSWER,
    CITIES,
    QUESTION,
    RESULTS,
    WEATHER,
)


def asked(text: str) -> Message:
    return Message("user", [text])


TALK = [
    asked(QUESTION),
    Message(
        "assistant",
        [
            Content.from_function_call(call_id, WEATHER, arguments={"city": city})
            for call_id, city in CITIES.items()
        ],
        message_id="m-1",
    ),
    Message(
        "tool",
        [
            Content.from_function_result(call_id, result=text)
            for call_id, text in RESULTS.items()
        ],
    ),
    Message("assistant", [ANSWER], author_name="guide"),
]
ODD = [
    Message("user", ["nul \x00 and \ud83d"], additional_properties={"n": 2**70}),
    Message("assistant", []),
    Message("tool", [Content.from_function_result("", result="x")]),
    Message(
        "assistant",
        [
            Content.from_text_reasoning(text="Hm.", protected_data="sealed"),
            "One.",
            "Two.",
            Content.from_function_call("c", "f" * 300, arguments="no json"),
        ],
    ),
    Message("user", [Content.from_data(b"abc", media_type="image/png")]),
]
