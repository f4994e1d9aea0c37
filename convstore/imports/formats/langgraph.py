"""`langgraph`: the checkpoints of LangGraph's SQLite saver.

Each checkpoint holds the whole list of messages. Their union by id is the tree: a
message follows the one before it in the first list that has it, so that what a later
run took another way is a branch, and what was removed stays off the head. Objects are
read as plain data and never made; what was pickled or encrypted is refused. Lists of
which only what was added is kept are put together again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from convstore.imports.fields import rest_of, text_or_none
from convstore.imports.formats.langgraph_deltas import Deltas
from convstore.imports.formats.langgraph_values import as_json, value_of
from convstore.imports.langchain_messages import is_message, said_of
from convstore.imports.material import Found, Material, Row
from convstore.imports.model import ImportedSession
from convstore.imports.msgpack import unpack
from convstore.imports.rowsets import MOST_ROWS, by_key, made, other_columns
from convstore.imports.talk import Talk, digest_of
from convstore.messages.langchain_messages import plain
from convstore.vocabulary.errors import CorruptionError, InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

NAME = "langgraph"
_COLUMNS = (
    "thread_id", "checkpoint_ns", "checkpoint_id", "parent_checkpoint_id", "type",
    "checkpoint", "metadata",
)  # fmt: skip
_KEYS = ("thread_id", "checkpoint_ns", "type", "blob")
_OF_WRITES = (*_KEYS, "checkpoint_id", "task_id", "task_path", "idx", "channel")
_BESIDE = {
    "writes": (*_OF_WRITES, "value"),
    "checkpoint_writes": _OF_WRITES,
    "checkpoint_blobs": (*_KEYS, "channel", "version"),
}
"""Tables whose rows are read with the checkpoints that name them."""
_FIELDS = (
    "v", "id", "ts", "channel_values", "channel_versions", "versions_seen",
    "updated_channels",
)  # fmt: skip


def read(material: Material) -> Iterator[Found]:
    """A conversation for each thread, and each of its subgraphs."""
    tables = material.tables
    if tables is None:
        return
    yield from other_columns(tables, _BESIDE)
    key = ["thread_id", "checkpoint_ns"]
    groups = by_key(tables, "checkpoints", key, ["checkpoint_id"])
    for number, ((thread, space), rows) in enumerate(groups, 1):
        yield made(
            number,
            lambda thread=thread, space=space, rows=rows: _thread(  # type: ignore[misc]
                material, str(thread), str(space or ""), rows
            ),
        )


def _thread(
    material: Material, thread: str, space: str, rows: Iterator[Row]
) -> ImportedSession:
    talk = Talk(NAME, f"{thread}/{space}" if space else thread)
    talk.metadata = {"thread_id": thread, **({"checkpoint_ns": space} if space else {})}
    union, deltas = _Union(talk), Deltas(material, thread, space)
    left: set[str] = set()
    for count, row in enumerate(rows):
        if count >= MOST_ROWS:
            raise InvalidInputError("checkpoints", f"are more than {MOST_ROWS}")
        told = _metadata(material, row.get("metadata"))
        left.update(f"checkpoints.{key}" for key in rest_of(row, *_COLUMNS))
        user = text_or_none(told.get("user_id"))
        talk.user_id = talk.user_id or user
        read = ("user_id",) if user and user == talk.user_id else ()
        left.update(f"metadata.{key}" for key in rest_of(told, *read))
        checkpoint = _checkpoint(material, row)
        left.update(f"checkpoint.{key}" for key in rest_of(checkpoint, *_FIELDS))
        values = checkpoint.get("channel_values")
        values = values if isinstance(values, dict) else {}
        messages = _messages(values)
        if messages is None:
            values = values | _kept_apart(material, thread, space, checkpoint)
            messages = _messages(values)
        left.update(f"channel.{k}" for k, v in values.items() if v and v != messages)
        if messages is None:
            messages = deltas.rebuilt(row, checkpoint)
        else:
            deltas.note(row.get("checkpoint_id"), messages)
        if messages is not None:
            at = talk.time("checkpoint.ts", checkpoint.get("ts"))
            talk.created_at = talk.created_at or at
            union.add(messages, at)
    # Each checkpoint says all again: once a thread is often enough.
    talk.left_out += sorted(left)
    return talk.session()


def _kept_apart(
    material: Material, thread: str, space: str, checkpoint: JsonObject
) -> JsonObject:
    """The values of channels where the saver for PostgreSQL keeps them: by version."""
    versions = checkpoint.get("channel_versions")
    tables, values = material.tables, {}
    if tables is None or "checkpoint_blobs" not in tables.columns:
        return {}
    for channel, version in (versions if isinstance(versions, dict) else {}).items():
        if not isinstance(version, str):
            continue
        named = {"thread_id": thread, "checkpoint_ns": space}
        named |= {"channel": channel, "version": version}
        for row in tables.rows("checkpoint_blobs", where=named):
            if row.get("type") == "msgpack" and isinstance(row.get("blob"), bytes):
                values[channel] = as_json(unpack(row["blob"]))  # type: ignore[arg-type]
            elif row.get("type") == "json":
                values[channel] = material.decoded(row.get("blob"), field="blob")
    return values


def _checkpoint(material: Material, row: Row) -> JsonObject:
    data = row.get("checkpoint")
    value = value_of(material, row.get("type"), data, "checkpoints")
    if not isinstance(value, dict):
        raise CorruptionError("a checkpoint that is no object")
    return value


def _metadata(material: Material, data: Any) -> JsonObject:
    if isinstance(data, str | bytes) and data[:1] in ("{", b"{"):
        value = material.decoded(data, field="metadata")
    elif isinstance(data, bytes):
        try:
            value = as_json(unpack(data))
        except CorruptionError:
            return {}
    else:
        return {}
    return value if isinstance(value, dict) else {}


def _messages(values: JsonObject) -> list[Json] | None:
    """The list of messages among the channels: the one of that name, or another."""
    for name in ("messages", *values):
        value = values.get(name)
        if name == "__start__":
            continue
        if isinstance(value, list) and value and all(map(is_message, value)):
            return value
        if name == "messages" and value == []:
            return []
    return None


class _Union:
    """The messages of all checkpoints, each once."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._first: dict[str, str] = {}
        self._said: set[str] = set()
        self._before: list[tuple[Json, str | None]] = []

    def add(self, messages: list[Json], at: datetime | None) -> None:
        parent: str | None = None
        before, self._before = self._before, []
        same = True
        for place, value in enumerate(messages):
            # What was put together of the same messages begins with the same ones.
            same = same and place < len(before) and value is before[place][0]
            parent = before[place][1] if same else self._add(value, place, parent, at)
            self._before.append((value, parent))
        self._talk.head = parent

    def _add(
        self, value: Json, place: int, parent: str | None, at: datetime | None
    ) -> str | None:
        """Say a message, if it was not said before; what the next one follows."""
        found = plain(value)
        fields = {} if found is None else found[1]
        if found is not None and found[0] == "remove":
            return parent
        named = fields.get("id")
        content = digest_of({key: fields.get(key) for key in _LASTING})
        name = named if isinstance(named, str) and named else f"{place}:{content}"
        # One that was changed under its id stands beside what it was.
        first = self._first.setdefault(name, content)
        step_id = name if first == content else f"{name}#{content[:8]}"
        if step_id not in self._said:
            said = said_of(self._talk, value, step_id, at)
            said.parent = parent
            self._talk.say(said)
            self._said.add(step_id)
        return step_id


_LASTING = ("content", "tool_calls", "tool_call_id", "type")
"""What of a message is its content, and not said about it later."""
