"""Items of OpenAI's Responses API as steps: one reader for every tool that keeps them.

Items of one step of the model are joined: what it thought, what it said, what it
called. A result is a step of the tool.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from convstore.imports.chat import role_of
from convstore.imports.pieces import has_bytes, image_part, pointer_part
from convstore.imports.steps import Steps
from convstore.imports.talk import Said, Talk
from convstore.messages.parts import ROLES, kind_of
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_RESULTS = (
    "function_call_output",
    "custom_tool_call_output",
    "local_shell_call_output",
    "computer_call_output",
    "shell_call_output",
    "apply_patch_call_output",
)
_BUILT_IN = ("_call", "_interpreter", "_approval_request")
_ABOUT = frozenset({"id", "type", "status", "call_id"})


@dataclass(frozen=True, slots=True)
class Item:
    """One item, under the id that its source gives it.

    Attributes:
        beside: What else the source says of it, by kind: of a step that several items
            are, the metadata has a list of each kind.
    """

    id: str
    value: JsonObject
    at: datetime | None = None
    model: str | None = None
    beside: JsonObject = field(default_factory=dict)


def steps_of_items(talk: Talk, items: Iterable[Item]) -> list[Said]:
    """The steps of a line of items. Each has the id of the first item in it."""
    steps = Steps(talk)
    for item in items:
        steps.at, steps.model = item.at, item.model
        before = len(steps.done)
        _add(steps, item.value)
        for number, said in enumerate(steps.done[before:]):
            said.id = item.id if number == 0 else f"{item.id}#{number}"
        made = steps.done[before:] or steps.done[-1:]
        talk.source(made, item.value)
        for kind, told in item.beside.items():
            if made:
                made[0].metadata.setdefault(kind, []).append(told)
            else:
                talk.drop(kind)
    finished = steps.finished()
    talk.drop("item_without_content", len(steps.done) - len(finished))
    return finished


def _add(steps: Steps, item: JsonObject) -> None:
    given = item.get("type")
    kind = given if isinstance(given, str) else None
    if kind in (None, "message") and "role" in item:
        _message(steps, item)
    elif kind == "reasoning":
        _reasoning(steps, item)
    elif kind in _CALLS:
        _after_answer(steps)
        call_id = item.get("call_id") or item.get("id")
        steps.call(call_id, item.get("name"), item.get(_CALLS[kind]))
    elif kind in _RESULTS:
        steps.result(item.get("call_id"), item.get("output"))
    elif kind is not None and kind.endswith(_BUILT_IN):
        _built_in(steps, kind, item)
    elif kind == "compaction":
        steps.open.parts.append(dict(item))
    else:
        steps.talk.drop("item" if kind is None else f"item:{kind}")


def _after_answer(steps: Steps) -> None:
    """A call goes with what was thought and said just before it."""
    if steps.done and steps.done[-1].role == "assistant":
        return
    steps.begin()


def _message(steps: Steps, item: JsonObject) -> None:
    role, _ = role_of("role", item.get("role"))
    thoughts = role == "assistant" and steps.done and _only_thought(steps.done[-1])
    said = steps.done[-1] if thoughts else steps.begin(role=role)
    content = item.get("content")
    if content is None or isinstance(content, str):
        said.parts += [] if content is None else [{"type": "text", "text": content}]
        return
    if not isinstance(content, list):
        raise InvalidInputError("content", "must be text or a list")
    for part in content:
        add_content(steps.talk, said, part)


def _only_thought(said: Said) -> bool:
    return said.role == "assistant" and all(
        kind_of(part) == "thought" for part in said.parts
    )


def add_content(talk: Talk, said: Said, part: Json) -> None:
    """Add one part of a message's content, of either of OpenAI's APIs."""
    if isinstance(part, str):
        said.parts.append({"type": "text", "text": part})
        return
    if not isinstance(part, dict):
        talk.drop("part_of_no_kind")
        return
    kind = part.get("type")
    if kind_of(part) == "text" and isinstance(part.get("text"), str):
        said.parts.append({"type": "text", "text": part["text"]})
        if part.get("annotations"):
            said.metadata.setdefault("annotations", []).extend(part["annotations"])
    elif kind in ("input_image", "image_url", "image"):
        _image(talk, said, part)
    elif kind in ("input_file", "file", "input_audio"):
        nested = part.get("file")
        inner = nested if isinstance(nested, dict) else part
        data = inner.get("file_data") or inner.get("data") or inner.get("input_audio")
        talk.attach(said, dict(part), with_bytes=data is not None)
    else:
        said.parts.append(dict(part))


def _image(talk: Talk, said: Said, part: JsonObject) -> None:
    url: Json = part.get("image_url") or part.get("url")
    if isinstance(url, dict):
        url = url.get("url")
    if isinstance(url, str):
        talk.attach(said, image_part(url), with_bytes=has_bytes(url))
        return
    known = part.get("file_id") or part.get("id")
    pointer = known if isinstance(known, str) else None
    talk.attach(said, pointer_part("image", pointer, source=part), with_bytes=False)


def _reasoning(steps: Steps, item: JsonObject) -> None:
    texts = [
        part["text"]
        for key in ("summary", "content")
        for part in (item[key] if isinstance(item.get(key), list) else ())
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    ]
    kept = {
        "encrypted_content": item.get("encrypted_content"),
        "id": item.get("id"),
    }
    if steps.done and not _only_thought(steps.done[-1]):
        steps.begin()
    steps.thought("\n".join(texts), **kept)


def _built_in(steps: Steps, kind: str, item: JsonObject) -> None:
    """A call of a tool of the vendor's own, with its result in it if there is one."""
    _after_answer(steps)
    call_id = item.get("call_id") or item.get("id")
    name = item.get("name") or kind.removesuffix("_call")
    output = next(
        (item[k] for k in ("output", "outputs", "results") if item.get(k) is not None),
        None,
    )
    asked = item.get("arguments")
    if asked is None:
        left = ("output", "outputs", "results", *_ABOUT)
        asked = {key: value for key, value in item.items() if key not in left}
    steps.call(call_id, name, asked, item)
    if output is not None:
        steps.result(call_id, output, name=name)


def is_item(value: Json) -> bool:
    """Whether a value looks like an item: a message, or something with its type."""
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    if isinstance(kind, str):
        return kind in (*_CALLS, *_RESULTS, "message", "reasoning") or kind.endswith(
            "_call"
        )
    role = value.get("role")
    return isinstance(role, str) and role in ROLES
