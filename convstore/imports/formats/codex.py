"""`codex`: rollouts of the Codex CLI: one file, or the folder of its sessions.

Only the items of the model's context are read; what was shown on the screen says the
same again. What was put in front (the environment, instructions, permissions) is kept
and marked as hidden. What a rollback took back stays on a branch of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from convstore.imports.fields import count_or_none, text_or_none, time_or_none
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
_META = (
    "cwd", "cli_version", "git", "originator", "model_provider", "forked_from_id",
    "base_instructions", "source", "instructions",
)  # fmt: skip


def read(material: Material) -> Iterator[Found]:
    """A conversation for each rollout."""
    titles = dict(_titles(material))
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


def _titles(material: Material) -> Iterator[tuple[str, str]]:
    for name in material.names:
        if base_name(name) == _INDEX:
            for record in material.records(name):
                row = {} if isinstance(record, Rejected) else record.value
                if isinstance(row, dict) and isinstance(row.get("id"), str):
                    title = row.get("thread_name") or row.get("title")
                    if isinstance(title, str):
                        yield row["id"], title


@dataclass(slots=True)
class _Reading:
    """Where the reading of a rollout is."""

    talk: Talk
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
    meta = _meta(rows)
    named = text_or_none(meta.get("id")) or file.partition(".")[0]
    talk = Talk(NAME, named)
    talk.title = titles.get(named)
    talk.created_at = time_or_none(meta.get("timestamp")) or time_or_none(
        rows[0].get("timestamp")
    )
    talk.metadata = {key: meta[key] for key in _META if meta.get(key)}
    reading = _Reading(talk)
    for row in rows:
        _add(reading, row)
    reading.flush()
    if reading.line:
        talk.head = reading.line[-1].id
    return talk.session()


def _meta(rows: list[JsonObject]) -> JsonObject:
    for row in rows:
        if row.get("type") == "session_meta" and isinstance(row.get("payload"), dict):
            payload: JsonObject = row["payload"]
            return payload
    first = rows[0]
    return first if "id" in first and "type" not in first else {}


def _add(reading: _Reading, row: JsonObject) -> None:
    kind, payload = row.get("type"), row.get("payload")
    at = time_or_none(row.get("timestamp"))
    if kind == "response_item" and isinstance(payload, dict):
        _item(reading, payload, at)
    elif kind == "turn_context" and isinstance(payload, dict):
        reading.model = text_or_none(payload.get("model")) or reading.model
    elif kind == "event_msg" and isinstance(payload, dict):
        _event(reading, payload)
    elif kind == "token_usage_record" and isinstance(payload, dict):
        _usage(reading, payload)
    elif kind == "compacted" and isinstance(payload, dict):
        text = text_or_none(payload.get("message"))
        if text:
            message = {"type": "message", "role": "user", "content": text}
            _item(reading, message, at)
    elif payload is None and _is_bare(kind):
        _item(reading, row, None)


def _is_bare(kind: Json) -> bool:
    """Whether a row is an item by itself, as in 2025."""
    return isinstance(kind, str) and (
        kind in _BARE or kind.endswith(("_call", "_output"))
    )


def _item(reading: _Reading, item: JsonObject, at: datetime | None) -> None:
    reading.count += 1
    named = text_or_none(item.get("id")) or f"item-{reading.count}"
    if "output" in item and isinstance(item["output"], str):
        item = {**item, "output": _output(item["output"])}
    reading.waiting.append(Item(named, item, at, reading.model))


def _output(text: str) -> Json:
    """What a command gave back; of 2025 it is JSON as text around that."""
    if text.startswith('{"output"'):
        try:
            told = json.loads(text)
        except (ValueError, RecursionError):
            return text
        if isinstance(told, dict) and isinstance(told.get("output"), str):
            return told["output"]
    return text


def _event(reading: _Reading, payload: JsonObject) -> None:
    kind = payload.get("type")
    if kind == "thread_rolled_back":
        reading.flush()
        turns, asked = payload.get("num_turns"), reading.asked
        back = turns if isinstance(turns, int) and turns > 0 else 1
        if asked:
            first = max(0, len(asked) - back)
            del reading.line[asked[first] :]
            del asked[first:]
            reading.answer = None
    elif kind == "turn_aborted":
        reading.flush()
        if reading.line:
            reading.line[-1].metadata["interrupted"] = True


def _is_question(said: Said) -> bool:
    return said.role == "user" and not said.metadata.get("hidden")


def _usage(reading: _Reading, payload: JsonObject) -> None:
    reading.flush()
    usage = payload.get("usage")
    if not isinstance(usage, dict):
        return
    if reading.answer is not None:
        reading.answer.tokens_in = count_or_none(usage.get("input_tokens"))
        reading.answer.tokens_out = count_or_none(usage.get("output_tokens"))


def _mark(said: Said) -> None:
    injected = (said.content or "").lstrip().startswith(_INJECTED)
    if said.role == "system" or (said.role == "user" and injected):
        said.metadata["hidden"] = True
