"""`codex`: rollouts of the Codex CLI: one file, or the folder of its sessions.

Only the items of the model's context are read; what was shown on the screen says the
same again. What was put in front (the environment, instructions, permissions) is kept
and marked as hidden. What a rollback took back stays on a branch of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from convstore.imports.fields import count_or_none, rest_of, text_or_none, time_or_none
from convstore.imports.material import Found, LeftOut, Material
from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.openai_items import Item, steps_of_items
from convstore.imports.reader import base_name
from convstore.imports.rowsets import MOST_ROWS, made
from convstore.imports.talk import Said, Talk
from convstore.vocabulary.records import Json, JsonObject

NAME = "codex"
_INDEX = "session_index.jsonl"
_INJECTED = (
    "<environment_context", "<user_instructions", "<permissions", "<turn_aborted",
    "<skill", "# AGENTS.md instructions", "<INSTRUCTIONS",
)  # fmt: skip
_BARE = ("message", "reasoning")
_ROW = ("timestamp", "ordinal", "type", "payload")


def read(material: Material) -> Iterator[Found]:
    """A conversation for each rollout."""
    titles: dict[str, str] = {}
    for row in _index(material):
        yield from _titled(row, titles)
    number = 0
    for name in material.names:
        if base_name(name) in (_INDEX, "history.jsonl"):
            continue
        rows: list[JsonObject] = []
        for record in material.records(name):
            if isinstance(record, Rejected):
                yield material.told(record, name)
            elif not isinstance(record.value, dict) or len(rows) >= MOST_ROWS:
                yield LeftOut("line_of_no_kind")
            else:
                rows.append(record.value)
        if rows:
            number += 1
            yield made(
                number,
                lambda rows=rows, name=name: _session(base_name(name), rows, titles),  # type: ignore[misc]
            )


def _index(material: Material) -> Iterator[Json]:
    for name in material.names:
        if base_name(name) == _INDEX:
            for record in material.records(name):
                yield None if isinstance(record, Rejected) else record.value


def _titled(row: Json, titles: dict[str, str]) -> Iterator[LeftOut]:
    """Note the title of a thread; what else is said of it is left out."""
    told = row if isinstance(row, dict) else {}
    title = told.get("thread_name") or told.get("title")
    if not isinstance(told.get("id"), str) or not isinstance(title, str):
        yield LeftOut("row:session_index")
        return
    titles[told["id"]] = title
    for key in rest_of(told, "id", "thread_name", "title"):
        yield LeftOut(f"session_index.{key}")


@dataclass(slots=True)
class _Reading:
    """Where the reading of a rollout is."""

    talk: Talk
    first: JsonObject
    model: str | None = None
    waiting: list[Item] = field(default_factory=list)
    line: list[Said] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    answer: Said | None = None
    count: int = 0

    def flush(self) -> None:
        for step in steps_of_items(self.talk, self.waiting):
            step.parent = self.line[-1].id if self.line else None
            _mark(step)
            self.talk.say(step)
            if _is_question(step):
                self.asked.append(len(self.line))
            if step.role == "assistant":
                self.answer = step
            self.line.append(step)
        self.waiting = []


def _session(
    file: str, rows: list[JsonObject], titles: dict[str, str]
) -> ImportedSession:
    first, meta = _meta(rows)
    named = text_or_none(meta.get("id")) or file.partition(".")[0]
    talk = Talk(NAME, named)
    talk.title = titles.get(named)
    talk.created_at = talk.time("created_at", meta.get("timestamp")) or time_or_none(
        rows[0].get("timestamp")
    )
    talk.keep_rest(meta, "id", "timestamp")
    reading = _Reading(talk, first)
    for row in rows:
        _add(reading, row)
    reading.flush()
    if reading.line:
        talk.head = reading.line[-1].id
    return talk.session()


def _meta(rows: list[JsonObject]) -> tuple[JsonObject, JsonObject]:
    """The row that says which session it is, and what it says."""
    for row in rows:
        if row.get("type") == "session_meta" and isinstance(row.get("payload"), dict):
            return row, row["payload"]
    first = rows[0]
    return (first, first) if "id" in first and "type" not in first else ({}, {})


def _add(reading: _Reading, row: JsonObject) -> None:
    kind, payload = row.get("type"), row.get("payload")
    if payload is None and _is_bare(kind):
        _item(reading, row, None, {})
        return
    rest, at = rest_of(row, *_ROW), reading.talk.time("time", row.get("timestamp"))
    read = _READ.get(kind) if isinstance(kind, str) else None
    if kind == "response_item" and isinstance(payload, dict):
        _item(reading, payload, at, rest)
        return
    if read is not None and isinstance(payload, dict):
        read(reading, payload, at)
        reading.talk.name_rest(str(kind), rest)
    elif row is not reading.first:
        reading.talk.drop(f"row:{kind or row.get('record_type')}")
    elif isinstance(payload, dict):
        reading.talk.name_rest("session_meta", rest)


def _context(reading: _Reading, payload: JsonObject, at: datetime | None) -> None:
    """Of which model the answers are. What it is told besides is kept as it was first,
    and counted by name where it is otherwise later."""
    model = reading.talk.text("turn_context.model", payload.get("model"))
    reading.model = model or reading.model
    rest = rest_of(payload, "model")
    known = reading.talk.metadata.setdefault("turn_context", rest)
    same = [key for key in rest if known.get(key) == rest[key]]
    reading.talk.name_rest("turn_context", rest, *same)


def _compacted(reading: _Reading, payload: JsonObject, at: datetime | None) -> None:
    text = reading.talk.text("compacted.message", payload.get("message"))
    if text:
        message = {"type": "message", "role": "user", "content": text}
        _item(reading, message, at, {})
    reading.talk.name_rest("compacted", payload, "message")


def _is_bare(kind: Json) -> bool:
    """Whether a row is an item by itself, as in 2025."""
    return isinstance(kind, str) and (
        kind in _BARE or kind.endswith(("_call", "_output"))
    )


def _item(
    reading: _Reading, item: JsonObject, at: datetime | None, rest: JsonObject
) -> None:
    reading.count += 1
    named = text_or_none(item.get("id")) or f"item-{reading.count}"
    beside: JsonObject = {"rows": rest} if rest else {}
    if "output" in item and isinstance(item["output"], str):
        output, told = _output(item["output"])
        item = {**item, "output": output}
        beside |= {"outputs": told} if told else {}
    reading.waiting.append(Item(named, item, at, reading.model, beside))


def _output(text: str) -> tuple[str, JsonObject]:
    """What a command gave back; of 2025 it is JSON as text around that, which says
    more."""
    if text.startswith('{"output"'):
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            return text, {}
        if isinstance(told, dict) and isinstance(told.get("output"), str):
            return told["output"], rest_of(told, "output")
    return text, {}


def _event(reading: _Reading, payload: JsonObject, at: datetime | None) -> None:
    kind = payload.get("type")
    if kind == "thread_rolled_back":
        reading.talk.name_rest(kind, payload, "type", "num_turns")
        reading.flush()
        turns, asked = payload.get("num_turns"), reading.asked
        back = turns if isinstance(turns, int) and turns > 0 else 1
        reading.talk.drop(f"{kind}.num_turns", bool(turns) and turns != back)
        if asked:
            first = max(0, len(asked) - back)
            del reading.line[asked[first] :]
            del asked[first:]
            reading.answer = None
    elif kind == "turn_aborted":
        reading.flush()
        rest = rest_of(payload, "type")
        if reading.line:
            reading.line[-1].metadata["interrupted"] = True
            reading.line[-1].metadata |= {"turn_aborted": rest} if rest else {}
        else:
            reading.talk.name_rest(kind, rest)
    else:
        reading.talk.drop(f"event:{kind}" if isinstance(kind, str) else "event")


def _is_question(said: Said) -> bool:
    return said.role == "user" and not said.metadata.get("hidden")


def _usage(reading: _Reading, payload: JsonObject, at: datetime | None) -> None:
    reading.flush()
    answer, usage = reading.answer, payload.get("usage")
    if answer is None:
        reading.talk.drop("usage_without_its_answer")
        return
    if isinstance(usage, dict):
        answer.tokens_in = count_or_none(usage.get("input_tokens"))
        answer.tokens_out = count_or_none(usage.get("output_tokens"))
    if "usage" in answer.metadata:
        reading.talk.drop("usage_of_before")
    answer.metadata["usage"] = payload


_READ: dict[str, Callable[[_Reading, JsonObject, datetime | None], None]] = {
    "turn_context": _context,
    "event_msg": _event,
    "token_usage_record": _usage,
    "compacted": _compacted,
}
"""How rows that are no items are read."""


def _mark(said: Said) -> None:
    injected = (said.content or "").lstrip().startswith(_INJECTED)
    if said.role == "system" or (said.role == "user" and injected):
        said.metadata["hidden"] = True
