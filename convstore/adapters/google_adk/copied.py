"""Events that are nothing but a text, made of their JSON without Pydantic's checks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import isfinite
from typing import Any, Final, NamedTuple

from google.adk.events.event import Event
from google.genai.types import Content, Part

from convstore.messages.copies import mould
from convstore.vocabulary.records import Json, JsonObject

_NAMES: Final = ("id", "author", "invocation_id")


class _Moulds(NamedTuple):
    """What such an event looks like as JSON, and what makes its objects."""

    told: JsonObject
    same: dict[str, Json]
    event: Callable[..., Event]
    content: Callable[..., Content]
    part: Callable[..., Part]
    inner: dict[str, Callable[..., Any]]


def plain_event(told: Json) -> Event | None:
    """The event, as `Event.model_validate` makes it; None where it holds more than who
    said what, when."""
    moulds = _moulds()
    if not isinstance(told, dict) or told.keys() != moulds.told.keys():
        return None
    if any(told[name] != each for name, each in moulds.same.items()):
        return None
    if not all(type(told[name]) is str and told[name] for name in _NAMES):
        return None
    at, content = told["timestamp"], told["content"]
    if type(at) is not float or not isfinite(at) or not _is_text(content):
        return None
    said = moulds.part({"text": content["parts"][0]["text"]})
    fields = {name: told[name] for name in moulds.told}
    for name, make in moulds.inner.items():
        fields[name] = make({})
    fields["content"] = moulds.content({"parts": [said], "role": content["role"]})
    return moulds.event(fields)


def _is_text(content: Json) -> bool:
    if not isinstance(content, dict) or content.keys() != {"parts", "role"}:
        return False
    parts = content["parts"]
    if type(content["role"]) is not str or type(parts) is not list or len(parts) != 1:
        return False
    part = parts[0]
    return isinstance(part, dict) and part.keys() == {"text"} and _is_str(part["text"])


def _is_str(value: Json) -> bool:
    return type(value) is str


@cache
def _moulds() -> _Moulds:
    """Of what this release of the framework makes, and how it writes it."""
    said = Content(role="user", parts=[Part(text="-")])
    first = Event(id="-", author="-", invocation_id="-", timestamp=0.5, content=said)
    told = first.model_dump(mode="json", exclude_none=True)
    read = Event.model_validate(told)
    content = read.content
    assert content is not None
    assert content.parts is not None
    same = {k: v for k, v in told.items() if k not in (*_NAMES, "timestamp", "content")}
    return _Moulds(
        told,
        same,
        mould(read),
        mould(content),
        mould(content.parts[0]),
        {name: mould(getattr(read, name)) for name in same},
    )
