"""The messages in a trace, in whichever shape the framework that was traced has. Pure.

What a generation was given is the history, what it gave is the answer. A message has no
id of its own here: it is named by its content and by what it follows, so that the next
trace of a conversation finds what it shares with the one before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from convstore.imports.chat_messages import said_of_chat
from convstore.imports.fields import rest_of
from convstore.imports.gemini_contents import add_parts
from convstore.imports.langchain_messages import is_message, said_of
from convstore.imports.openai_items import Item, is_item, steps_of_items
from convstore.imports.steps import Steps
from convstore.imports.talk import Said, Talk, digest_of
from convstore.messages.parts import ROLES
from convstore.vocabulary.records import Json, JsonObject

_DEPTH = 6
_HISTORY = (
    "messages",
    "input",
    "contents",
    "inputs",
    "prompts",
    "prompt",
    "chat_history",
)
_ANSWER = (
    "output", "choices", "message", "generations", "candidates", "content",
    "completion", "outputs", "text", "response", "answer", "messages",
)  # fmt: skip


def decoded(value: Json) -> Json:
    """A value that is JSON as text, once or twice."""
    for _ in range(2):
        if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "[", '"'):
            break
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            break
    return value


@dataclass(slots=True)
class Line:
    """The steps of a conversation, one behind the other, as one trace tells it."""

    talk: Talk
    at: datetime | None = None
    model: str | None = None
    steps: list[Said] = field(default_factory=list)

    def history(self, value: Json) -> None:
        """Add what the model was given; what stands around it is kept of the whole."""
        around: list[JsonObject] = []
        self._add(list(_messages(decoded(value), _HISTORY, "user", around)))
        for told in around:
            self.talk.keep_rest(told, under="input")

    def answer(self, value: Json) -> None:
        """Add what it gave. What stands around it is in the source of the last step."""
        before = len(self.steps)
        self._add(list(_messages(decoded(value), _ANSWER, "assistant", [])))
        for said in self.steps[before:]:
            said.at = self.at
            if said.role == "assistant":
                said.model = said.model or self.model

    def _add(self, values: list[JsonObject]) -> None:
        items: list[JsonObject] = []
        for value in values:
            if is_message(value) and not ("role" in value and "type" not in value):
                self._items(items)
                self.steps.append(said_of(self.talk, value, "", None))
            elif "role" in value and isinstance(value.get("parts"), list):
                self._items(items)
                self._gemini(value)
            elif _is_chat(value):
                self._items(items)
                self.steps.append(said_of_chat(self.talk, value, ""))
            elif is_item(value):
                items.append(value)
            else:
                self.talk.drop("message_of_no_kind")
        self._items(items)

    def _items(self, items: list[JsonObject]) -> None:
        line = [Item("", item) for item in items]
        self.steps += steps_of_items(self.talk, line)
        items.clear()

    def _gemini(self, value: JsonObject) -> None:
        role = "assistant" if value.get("role") == "model" else "user"
        steps = Steps(self.talk, role)
        add_parts(steps, value["parts"])
        made = steps.finished()
        self.talk.source(made, value)
        self.steps += made

    def say(self) -> str | None:
        """Name the steps and put them into the conversation; the last one's id."""
        parent: str | None = None
        for said in self.steps:
            content = [said.role, said.content, said.parts, said.tool_call_id]
            said.parent = parent
            said.id = parent = digest_of([parent, content])
            self.talk.say(said)
        return parent


def _is_chat(value: JsonObject) -> bool:
    if value.get("type") not in (None, "message"):
        return False
    plain = "tool_calls" in value or "tool_call_id" in value or "function_call" in value
    return str(value.get("role")) in ROLES and (plain or value.get("type") is None)


def _messages(
    value: Json, keys: tuple[str, ...], role: str, around: list[JsonObject]
) -> Iterator[JsonObject]:
    """The messages in a value, looked for by the names that frameworks use; what else
    there is goes to `around`."""
    for _ in range(_DEPTH):
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
            value = value[0]
        elif isinstance(value, dict) and not _is_one(value):
            value = _inside(value, keys, around)
        else:
            break
    items = value if isinstance(value, list) else [value]
    for item in items:
        if isinstance(item, str) and item:
            yield {"role": role, "content": item}
        elif isinstance(item, dict):
            yield item if _is_one(item) else _unwrapped(item, role, around)


def _unwrapped(item: JsonObject, role: str, around: list[JsonObject]) -> JsonObject:
    for key in ("message", "content"):
        inner = item.get(key)
        if isinstance(inner, dict):
            around.append(rest_of(item, key))
            return inner if _is_one(inner) else {"role": role, **inner}
    text = item.get("text")
    if not isinstance(text, str):
        return item
    around.append(rest_of(item, "text"))
    return {"role": role, "content": text}


def _is_one(value: JsonObject) -> bool:
    return (
        is_message(value)
        or (
            "role" in value
            and ("content" in value or "parts" in value or "tool_calls" in value)
        )
        or (isinstance(value.get("type"), str) and is_item(value))
    )


def _inside(value: JsonObject, keys: tuple[str, ...], around: list[JsonObject]) -> Json:
    for key in keys:
        inner = value.get(key)
        if inner not in (None, "", [], {}):
            around.append(rest_of(value, key))
            return decoded(inner)
    texts = [v for v in value.values() if isinstance(v, str) and v]
    if len(value) == 1 and texts:
        return texts[0]
    around.append(rest_of(value))
    return None
