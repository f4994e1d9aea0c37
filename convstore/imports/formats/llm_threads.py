"""Threads of llm from 0.36 on: a tree of messages by the hashes of their content."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from convstore.imports.chat import role_of
from convstore.imports.fields import count_or_none, text_or_none, time_or_none
from convstore.imports.material import Material, Row, Tables, Value
from convstore.imports.model import ImportedSession
from convstore.imports.pieces import (
    call_part,
    data_part,
    pointer_part,
    text_part,
    thought_part,
)
from convstore.imports.rowsets import MOST_ROWS, bounded
from convstore.imports.steps import merge_text
from convstore.imports.talk import Said, Talk
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

NAME = "llm"
TOLD = (
    "hash parent_hash message_hash tip_message_hash parent_message_hash position "
    "datetime_utc options_json input_tokens output_tokens"
).split()
_OF_THREAD = ("id", "name", "datetime_utc", "forked_from", "tip_message_hash")


def thread_groups(
    material: Material, tables: Tables
) -> Iterator[tuple[list[str], Callable[[], ImportedSession]]]:
    """The threads that belong together, and what makes a session of them."""
    if "parent_hash" not in tables.columns.get("messages", ()):
        return
    threads = {str(row["id"]): row for row in tables.rows("threads")}
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    roots: dict[str, str] = {}
    for thread_id, row in threads.items():
        groups[_root(thread_id, threads, roots)].append(row)
    for root, rows in groups.items():
        reading = _Reading(material, tables)
        yield (
            [str(row["id"]) for row in rows],
            lambda root=root, rows=rows, reading=reading: reading.session(root, rows),  # type: ignore[misc]
        )


def _root(thread_id: str, threads: dict[str, Row], known: dict[str, str]) -> str:
    """The thread that another was forked from, at the very first; `known` are those
    that were found before, so that each way up is walked once."""
    seen: dict[str, None] = {}
    root, at = thread_id, thread_id
    while at not in seen and at not in known:
        seen[at] = None
        root, above = at, threads.get(at, {}).get("forked_from")
        if not isinstance(above, str) or above not in threads:
            break
        at = above
    else:
        root = known[at] if at in known else min(seen)
    known.update(dict.fromkeys(seen, root))
    return root


@dataclass(slots=True)
class _Reading:
    material: Material
    tables: Tables

    def session(self, root: str, rows: list[Row]) -> ImportedSession:
        rows.sort(
            key=lambda row: (str(row["id"]) != root, str(row.get("datetime_utc")))
        )
        talk = Talk(NAME, root, TOLD)
        talk.title = rows[0].get("name")
        talk.created_at = talk.time("created_at", _iso(rows[0].get("datetime_utc")))
        talk.keep_rest(rows[0], *_OF_THREAD)
        for row in rows[1:]:
            talk.name_rest("threads", row, *_OF_THREAD, "name")
        turns = self._turns(rows)
        known: set[str] = set()
        newest = max(rows, key=lambda row: str(row.get("datetime_utc")))
        for row in rows:
            for message in self._chain(row.get("tip_message_hash")):
                name = str(message["hash"])
                if name not in known:
                    known.add(name)
                    self._say(talk, message, turns)
        tip = newest.get("tip_message_hash")
        talk.head = tip if isinstance(tip, str) else None
        return talk.session()

    def _turns(self, rows: list[Row]) -> dict[str, Row]:
        """What is said of each answer: when, by which model, at what cost."""
        found: dict[str, Row] = {}
        for row in rows:
            for turn in self.tables.rows("turns", where={"thread_id": row["id"]}):
                found.setdefault(str(turn.get("tip_message_hash")), turn)
                asked = {"datetime_utc": turn.get("datetime_utc")}
                found.setdefault(str(turn.get("parent_message_hash")), asked)
        return found

    def _chain(self, tip: Value) -> list[Row]:
        """The messages from the first to the tip."""
        chain: list[Row] = []
        seen: set[Value] = set()
        while tip is not None and tip not in seen:
            if len(chain) >= MOST_ROWS:
                raise InvalidInputError("messages", f"are more than {MOST_ROWS}")
            seen.add(tip)
            row = next(self.tables.rows("messages", where={"hash": tip}), None)
            if row is None:
                break
            chain.append(row)
            tip = row.get("parent_hash")
        return chain[::-1]

    def _say(self, talk: Talk, message: Row, turns: dict[str, Row]) -> None:
        role, _ = role_of("messages.role", message.get("role"))
        name = str(message["hash"])
        said = Said(name, role, parent=text_or_none(message.get("parent_hash")))
        rows = self.tables.rows(
            "parts", where={"message_hash": name}, order=["position"]
        )
        parts = bounded(rows)
        for part in parts:
            self._part(talk, said, part)
        merge_text(said)
        turn = turns.get(name, {})
        said.at = time_or_none(_iso(turn.get("datetime_utc")))
        said.model = text_or_none(turn.get("resolved_model") or turn.get("model"))
        said.tokens_in = count_or_none(turn.get("input_tokens"))
        said.tokens_out = count_or_none(turn.get("output_tokens"))
        for key in ("options_json", "provider_metadata", "schema_id", "duration_ms"):
            value = turn.get(key, message.get(key))
            if value not in (None, "{}", 0, ""):
                said.metadata[key.removesuffix("_json")] = self._value(value)
        source = {"message": plain(message), "parts": [plain(p) for p in parts]}
        talk.source([said], {**source, "turn": plain(turn)})
        talk.say(said)

    def _value(self, value: Value) -> Json:
        if isinstance(value, str) and value[:1] == "{":
            return self.material.decoded(value)
        return None if isinstance(value, bytes) else value

    def _part(self, talk: Talk, said: Said, part: Row) -> None:
        payload = self._value(part.get("payload"))
        told: JsonObject = payload if isinstance(payload, dict) else {}
        kind, text = part.get("type"), part.get("text")
        if kind == "text":
            said.parts.append(text_part(self._text(text, told)))
        elif kind == "reasoning":
            said.parts.append(thought_part(self._text(text, told)))
        elif kind == "tool_call":
            name = str(told.get("name") or part.get("tool_name") or "")
            call_id = text_or_none(told.get("tool_call_id"))
            said.parts.append(call_part(call_id, name, told.get("arguments")))
        elif kind == "tool_result":
            said.tool_call_id = text_or_none(told.get("tool_call_id"))
            said.name = text_or_none(told.get("name") or part.get("tool_name"))
            output = told.get("output")
            said.parts.append(text_part(output if isinstance(output, str) else ""))
            if told.get("exception"):
                said.metadata["error"] = told["exception"]
        elif kind == "attachment":
            reference = told.get("attachment")
            named = reference.get("id") if isinstance(reference, dict) else None
            attach(self.tables, talk, said, named)
        else:
            talk.drop(f"part:{kind!s}" if isinstance(kind, str) else "part")

    def _text(self, text: Value, told: JsonObject) -> str:
        pieces = told.get("text_ref")
        if isinstance(text, str) or not isinstance(pieces, list):
            return text if isinstance(text, str) else ""
        return "".join(self._piece(p) for p in pieces if isinstance(p, dict))

    def _piece(self, piece: JsonObject) -> str:
        literal = piece.get("literal")
        if isinstance(literal, str):
            return literal
        return fragment(self.tables, piece.get("fragment"))


def plain(row: Row) -> JsonObject:
    """A row as JSON: without its bytes."""
    return {key: v for key, v in row.items() if not isinstance(v, bytes)}


def fragment(tables: Tables, fragment_id: Json) -> str:
    """The text of a fragment; empty where it is gone."""
    if not isinstance(fragment_id, int):
        return ""
    row = next(tables.rows("fragments", where={"id": fragment_id}), {})
    content = row.get("content")
    return content if isinstance(content, str) else ""


def attach(tables: Tables, talk: Talk, said: Said, attachment_id: Json) -> None:
    """Add an attachment by its id: its bytes, or where they were."""
    if not isinstance(attachment_id, str):
        talk.drop("attachment_without_id")
        return
    row = next(tables.rows("attachments", where={"id": attachment_id}), {})
    media_type = text_or_none(row.get("type")) or "application/octet-stream"
    content = row.get("content")
    if isinstance(content, bytes) and content:
        data = base64.b64encode(content).decode()
        talk.attach(said, data_part(media_type, data), with_bytes=True)
        return
    pointer = text_or_none(row.get("url") or row.get("path")) or attachment_id
    part = pointer_part(media_type, pointer, media_type=media_type)
    talk.attach(said, part, with_bytes=False)


def _iso(value: Value) -> str | None:
    return value.replace(" ", "T", 1) if isinstance(value, str) else None
