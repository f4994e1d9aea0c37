"""Cuts what a source bundles into the steps of one author each. Pure.

A message that holds calls and their results becomes an assistant's turn, one of the
tool for each result, and the assistant's again; pieces of one step are joined.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from convstore.imports.pieces import call_part, has_bytes, text_part, thought_part
from convstore.imports.talk import Said, Talk
from convstore.messages.parts import kind_of, text_of
from convstore.vocabulary.records import Json, JsonObject


@dataclass(slots=True)
class Steps:
    """The steps of one message, or of a line of items, while they are read.

    `at` and `model` are those of the steps that begin from now on. `names` are the
    tools by their calls, so that a result can say whose it is.
    """

    talk: Talk
    role: str = "assistant"
    at: datetime | None = None
    model: str | None = None
    names: dict[str, str] = field(default_factory=dict)
    done: list[Said] = field(default_factory=list)

    @property
    def open(self) -> Said:
        """The step that is being said: a new one where the last was a tool's."""
        if not self.done or self.done[-1].role != self.role:
            self.begin()
        return self.done[-1]

    def begin(self, step_id: str = "", role: str | None = None) -> Said:
        """Begin a step, whatever was before."""
        said = Said(step_id, role or self.role, at=self.at)
        if said.role == "assistant":
            said.model = self.model
        self.done.append(said)
        return said

    def text(self, text: str) -> None:
        self.open.parts.append(text_part(text))

    def thought(self, text: str, **kept: Json) -> None:
        """What was thought; after something was said, it begins a step."""
        if any(kind_of(part) != "thought" for part in self.open.parts):
            self.begin()
        self.open.parts.append(thought_part(text, **kept))

    def call(
        self,
        call_id: Json,
        name: Json,
        arguments: Json,
        source: Mapping[str, Json] | None = None,
    ) -> None:
        """A call; `source` is kept where it says more than a call of ours can."""
        known = call_id if isinstance(call_id, str) and call_id else None
        named = name if isinstance(name, str) else ""
        if known is not None:
            self.names[known] = named
        part = call_part(known, named, arguments)
        if source:
            part["source"] = dict(source)
        self.open.parts.append(part)

    def result(
        self,
        call_id: Json,
        content: Json,
        *,
        name: Json = None,
        error: bool = False,
        source: Mapping[str, Json] | None = None,
    ) -> Said:
        """What a tool gave back: a step of its own."""
        said = self.begin(role="tool")
        said.tool_call_id = call_id if isinstance(call_id, str) else None
        known = self.names.get(said.tool_call_id or "")
        said.name = name if isinstance(name, str) and name else known
        self.fill(said, content)
        if error:
            said.metadata["error"] = True
        if source:
            said.metadata["source"] = dict(source)
        return said

    def attach(self, part: JsonObject, *, with_bytes: bool = False) -> None:
        self.talk.attach(self.open, part, with_bytes=with_bytes)

    def fill(self, said: Said, content: Json) -> None:
        """Put in content of any shape: text, parts with text, or any JSON."""
        if content is None or isinstance(content, str):
            said.content = content
            return
        if not isinstance(content, list):
            said.content = json.dumps(content, ensure_ascii=False)
            return
        for part in content:
            text = part if isinstance(part, str) else None
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                text = part["text"]
            if text is not None:
                said.parts.append(text_part(text))
            elif isinstance(part, dict):
                self.talk.attach(said, dict(part), with_bytes=_holds_bytes(part))
            else:
                said.parts.append(text_part(json.dumps(part, ensure_ascii=False)))

    def finished(self) -> list[Said]:
        """The steps; those that say nothing at all are left out. What a tool gave back
        is an answer also where it is nothing: without it, its call would be open."""
        for said in self.done:
            merge_text(said)
            if said.role == "tool" and not said.parts and said.content is None:
                said.content = ""
        return [said for said in self.done if _says(said)]


def _says(said: Said) -> bool:
    return bool(said.content or said.parts) or said.role == "tool"


def merge_text(said: Said) -> None:
    """Make the content of the text parts, which alone need not be parts. One that is
    called text and has none stays a part."""
    texts: list[str] = []
    rest: list[Json] = []
    kinds = set()
    for part in said.parts:
        kind = kind_of(part)
        text = text_of(part) if kind == "text" else None
        if text is not None:
            texts.append(text)
        else:
            rest.append(part)
            kinds.add(kind)
    if not texts:
        return
    said.content = "".join(texts)
    if kinds <= {"thought", "call"}:
        said.parts = rest


def _holds_bytes(part: JsonObject) -> bool:
    if kind_of(part) not in ("image", "audio", "file"):
        return True
    waiting: list[Json] = [part]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("data"), str) or isinstance(
                value.get("file_data"), str
            ):
                return True
            waiting.extend(value.values())
        elif has_bytes(value):
            return True
    return False
