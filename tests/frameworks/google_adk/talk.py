"""Events as ADK's agents add them, at times of their own."""

from __future__ import annotations

from typing import Any

from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.genai import types

from convstore.testing.framework_suite import (
    ANSWER,
    CITIES,
    QUESTION,
    RESULTS,
    WEATHER,
)

BEGIN = 1_767_225_600.25


def event(author: str, *parts: types.Part, **given: Any) -> Event:
    role = "user" if author == "user" else "model"
    given = {"timestamp": BEGIN, "invocation_id": "run-1", **given}
    content = types.Content(role=role, parts=list(parts))
    return Event(author=author, content=content, **given)


def asked(text: str) -> Event:
    return event("user", types.Part(text=text), id=f"asked-{text}")


def talk() -> list[Event]:
    calls = [
        types.Part(
            function_call=types.FunctionCall(
                id=call_id, name=WEATHER, args={"city": city}
            )
        )
        for call_id, city in CITIES.items()
    ]
    given = [
        types.Part(
            function_response=types.FunctionResponse(
                id=call_id, name=WEATHER, response={"result": result}
            )
        )
        for call_id, result in RESULTS.items()
    ]
    return [
        event("user", types.Part(text=QUESTION), id="e-1"),
        event("guide", *calls, id="e-2", model_version="m-1"),
        event("guide", *given, id="e-3"),
        event("guide", types.Part(text=ANSWER), id="e-4", branch="guide"),
    ]


def odd() -> list[Event]:
    png = types.Blob(data=b"\x89PNG\r\n\x1a\n\xff\xfe", mime_type="image/png")
    call = types.FunctionCall(id="", name="t" * 300, args={"n": 2**70, "none": None})
    delta = {"plain": 1, "user:theme": {"dark": True}, "app:\x00": "\ud83d", "n": None}
    return [
        event("user", types.Part(text="nul \x00 and \ud83d"), id="odd-1"),
        event("guide", types.Part(inline_data=png), types.Part(text="See."), id="o-2"),
        event(
            "guide",
            types.Part(text="Hm.", thought=True, thought_signature=b"\x00\xff"),
            types.Part(function_call=call),
            id="o-3",
            long_running_tool_ids={"b", "a"},
        ),
        Event(
            author="guide",
            id="o-4",
            invocation_id="run-2",
            actions=EventActions(state_delta=delta),
            timestamp=-1.5,
        ),
    ]
