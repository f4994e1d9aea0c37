"""Records of any shape as sessions, by a mapping. Pure.

What the mapping does not name stays in the metadata, so the record can be made again.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from convstore.imports.extras import derived_id, external_id, keep
from convstore.imports.fields import (
    id_or_none,
    language_or_none,
    need_list,
    need_object,
    need_text,
    tags_of,
    text_or_none,
    time_or_none,
    title_or_none,
)
from convstore.imports.mapping.file import Mapping
from convstore.imports.mapping.groups import read_groups
from convstore.imports.mapping.interactions import chain, judgements
from convstore.imports.mapping.nodes import NodeReader, facts_of, votes_of
from convstore.imports.mapping.paths import find, locate
from convstore.imports.mapping.turns import TurnReader
from convstore.imports.model import GraphStateInput, ImportedSession
from convstore.imports.registry import Format
from convstore.imports.talk import Talk
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import DEFAULT_NAMESPACE, Json, JsonObject

NAME = "map"


def mapped_format(mapping: Mapping) -> Format:
    """The format that reads records by this mapping."""
    waiting = mapping.paths()
    in_messages = set(mapping.messages.taken()) if mapping.messages else set()

    def parsed(record: Json) -> ImportedSession:
        if waiting:
            whole = facts_of(record) if mapping.group else record
            waiting[:] = [path for path in waiting if locate(whole, path) is None]
        return parse(mapping, record, in_messages)

    def absent() -> list[str]:
        place = mapping.messages.path if mapping.messages else ""
        return [*waiting, *(f"{place}[].{path}" for path in sorted(in_messages))]

    if mapping.group is not None:
        read = partial(read_groups, mapping, parsed)
        return Format(NAME, read=read, absent=absent)
    return Format(NAME, parsed, absent=absent)


def parse(
    mapping: Mapping, record: Json, absent: set[str] | None = None
) -> ImportedSession:
    """The session of one record.

    Raises:
        InvalidInputError: No turns where the mapping has them, or no text where it
            has text; names the path.
    """
    if mapping.messages is not None:
        return _parse_messages(mapping, record, set() if absent is None else absent)
    fields = need_object("record", record)
    reader = TurnReader(fields)
    for turn in mapping.turn:
        reader.add_turn(turn)
    if mapping.turns is not None:
        reader.add_list(mapping.turns)
    answers = reader.add_answers(mapping.answers) if mapping.answers else []
    if not reader.turns:
        raise InvalidInputError("record", "has no turns where the mapping has them")
    states = _graph_states(mapping, reader)
    notes: JsonObject = {"format": NAME, "map": mapping.name, "moved": reader.moved}
    return ImportedSession(
        session_id=_session_id(mapping, fields),
        turns=tuple(reader.turns),
        metadata=keep(reader.left_over, notes),
        interactions=judgements(mapping, fields, answers, reader.items),
        graph_states=states,
        head_seq=answers[0] if len(answers) > 1 else None,
        **_facts(mapping, fields),
    )


def _parse_messages(
    mapping: Mapping, record: Json, absent: set[str]
) -> ImportedSession:
    assert mapping.messages is not None
    facts = facts_of(record)
    talk = Talk(f"{NAME} {mapping.name}", _session_id(mapping, facts))
    NodeReader(mapping.messages, absent).read(talk, record, mapping.judgements)
    for number, judged in enumerate(mapping.judgements):
        if judged.inside == "record":
            for vote in votes_of(judged, facts, f"record#{number}", None):
                talk.vote(vote)
    for graph in mapping.graphs:
        state = find(facts, graph.path)
        if state is not None:
            talk.state(graph.namespace, state)
    for name, value in _facts(mapping, facts).items():
        setattr(talk, name, list(value) if name == "tags" else value)
    if isinstance(record, dict):
        taken = mapping.messages.path.partition(".")[0]
        talk.metadata = {
            key: value
            for key, value in record.items()
            if key not in (taken, mapping.messages.path)
        }
    return talk.session()


def _session_id(mapping: Mapping, record: JsonObject) -> str:
    paths = mapping.session.id
    if paths is None:
        return derived_id(f"{NAME} {mapping.name}", record)
    named = [paths] if isinstance(paths, str) else paths
    parts = [_id_text(find(record, path)) for path in named]
    if None in parts:
        raise InvalidInputError("session.id", "is not in the record")
    session_id = id_or_none({"id": "/".join(part or "" for part in parts)}, "id")
    if session_id is None:
        raise InvalidInputError("session.id", "cannot be an id")
    return session_id


def _id_text(value: Json) -> str | None:
    return str(value) if type(value) is int else text_or_none(value)


def _facts(mapping: Mapping, record: JsonObject) -> dict[str, Any]:
    given = mapping.session

    def value(path: str | None) -> Json:
        return None if path is None else find(record, path)

    return {
        "user_id": id_or_none({"id": value(given.user_id)}, "id"),
        "language": language_or_none(value(given.language)),
        "title": title_or_none(value(given.title)),
        "tags": tags_of(value(given.tags)),
        "created_at": time_or_none(value(given.created_at)),
    }


def _graph_states(mapping: Mapping, reader: TurnReader) -> tuple[GraphStateInput, ...]:
    states: list[GraphStateInput] = []

    def add(kind: str, path: str, state: Json, namespace: str) -> None:
        number = external_id(len(states) + 1)
        last = len(reader.turns)
        # By namespace and version, as a store gives them back.
        version = sum(known.namespace == namespace for known in states) + 1
        reader.move(kind, path, namespace, version)
        states.append(GraphStateInput(state, namespace, last, external_id=number))

    if mapping.steps is not None:
        path = mapping.steps.path
        texts = need_list(path, find(reader.record, path))
        steps = chain([need_text(path, text) for text in texts])
        add("steps", path, steps, DEFAULT_NAMESPACE)
    for graph in mapping.graphs:
        state = find(reader.record, graph.path)
        if state is not None:
            add("graph", graph.path, state, graph.namespace)
    return tuple(states)
