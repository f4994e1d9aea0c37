"""Records that were read by a mapping.

Each move out of the record was noted in order; they are undone in the opposite one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from convstore.imports.extras import kept
from convstore.imports.mapping.file import Mapping
from convstore.imports.model import ImportedSession
from convstore.vocabulary.records import Json, JsonObject, TurnInput


def to_record(mapping: Mapping, session: ImportedSession) -> JsonObject:
    """The record of a session that was read by this mapping."""
    record, notes = kept(session.metadata)
    for kind, keys, *where in reversed(notes.get("moved", [])):
        record = put(record, keys, _moved(kind, where, mapping, session))
    return record


def _moved(
    kind: str, where: list[Any], mapping: Mapping, session: ImportedSession
) -> Json:
    first, *rest = where
    if kind in ("steps", "graph"):
        known = [s.state for s in session.graph_states if s.namespace == first]
        state = known[rest[0] - 1]
        return [node["text"] for node in state["nodes"]] if kind == "steps" else state
    turns = session.turns[first - 1 :]
    if kind == "text":
        return turns[0].content
    if kind == "answers":
        return [turn.content for turn in turns]
    count, lengths = rest
    return list(_items(mapping, iter(turns[:count]), lengths))


def _items(
    mapping: Mapping, turns: Iterator[TurnInput], lengths: list[int]
) -> Iterator[Json]:
    key = mapping.turns.text if mapping.turns else None
    if key is not None:
        yield from ({**kept(turn.metadata)[0], key: turn.content} for turn in turns)
    elif not lengths:
        yield from (turn.content for turn in turns)
    for length in lengths if key is None else ():
        # A text by itself has no length; empty lists were refused.
        texts = [next(turns).content for _ in range(length or 1)]
        yield texts if length else texts[0]


def put(record: Any, keys: Sequence[str | int], value: Json) -> Any:
    """The record from which `take` took the value."""
    head, *rest = keys
    if isinstance(head, int):
        item = put(record[head], rest, value) if rest else value
        return [*record[:head], item, *record[head + 1 :]]
    return {**record, head: put(record[head], rest, value) if rest else value}
