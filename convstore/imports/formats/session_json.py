"""`session-json`: the one-file-per-session JSON of an earlier session manager.

`session_id`, `chat_history`, `interactions`, `graph_state`, `metadata` and more. Its
times had no zone; they are taken as UTC, and kept as they were written.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from convstore.imports.chat import turns_of
from convstore.imports.extras import NOTES, external_id
from convstore.imports.fields import (
    id_or_none,
    kind_of,
    language_or_none,
    need_object,
    need_text,
    text_or_none,
    time_or_none,
    title_or_none,
)
from convstore.imports.model import GraphStateInput, ImportedSession
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import InteractionInput, Json, JsonObject, TurnInput

NAME = "session-json"
_SECTIONS = frozenset({"chat_history", "interactions", "graph_state"})
_ACT_TEXTS = ("node_id", "content", "feedback")


def parse(record: Json) -> ImportedSession:
    """The session of one record.

    Raises:
        InvalidInputError: No usable `session_id`, none of the sections, or one of the
            wrong kind.
    """
    fields = dict(need_object("record", record))
    session_id = id_or_none(fields, "session_id")
    if session_id is None:
        raise InvalidInputError("session_id", "is not an id")
    if not fields.keys() & _SECTIONS:
        # Any record has an id; nothing else would be read of one of another kind.
        raise InvalidInputError("chat_history", "is missing")
    turns = turns_of(_section(fields, "chat_history"), field="chat_history")
    acts = _section(fields, "interactions")
    states = _graph_states(fields)
    own = _own_metadata(fields)
    return ImportedSession(
        session_id=session_id,
        turns=tuple(map(_with_language, turns)),
        user_id=id_or_none(fields, "user_id") or id_or_none(own, "user_id"),
        language=language_or_none(fields.get("language")),
        title=title_or_none(fields.get("title")),
        # Everything else as it was written; the times are also read.
        metadata={**own, NOTES: {"format": NAME, "fields": fields}},
        created_at=time_or_none(fields.get("created_at")),
        interactions=tuple(
            _interaction(act, f"interactions[{place}]", place + 1)
            for place, act in enumerate(acts)
        ),
        graph_states=states,
    )


def _section(fields: JsonObject, key: str) -> list[Json]:
    """The list under `key`, taken out; an empty one stays, as it was written."""
    value = fields.get(key) or []
    if not isinstance(value, list):
        raise InvalidInputError(key, f"must be a list, not {kind_of(value)}")
    return fields.pop(key) if value else []


def _own_metadata(fields: JsonObject) -> JsonObject:
    """The object under `metadata`, taken out; any other value stays a field."""
    given = fields.get("metadata")
    if isinstance(given, dict) and given and NOTES not in given:
        return dict(fields.pop("metadata"))
    return {}


def _graph_states(fields: JsonObject) -> tuple[GraphStateInput, ...]:
    # An empty graph was what a session without one had: it stays a field.
    if not fields.get("graph_state"):
        return ()
    state = fields.pop("graph_state")
    at = time_or_none(fields.get("updated_at"))
    return (GraphStateInput(state, external_id=external_id(1), created_at=at),)


def _with_language(turn: TurnInput) -> TurnInput:
    return replace(turn, language=language_or_none(turn.metadata.get("language")))


def _interaction(given: Json, field: str, number: int) -> InteractionInput:
    act = dict(need_object(field, given))
    action = need_text(f"{field}.action_type", act.pop("action_type", None))
    if not action:
        raise InvalidInputError(f"{field}.action_type", "is empty")
    texts: dict[str, Any] = {}
    for name in _ACT_TEXTS:
        if text_or_none(act.get(name)):
            texts[name] = act.pop(name)
    own = _own_metadata(act)
    return InteractionInput(
        action=action,
        metadata={**own, NOTES: act} if act else own,
        external_id=external_id(number),
        created_at=time_or_none(act.get("timestamp")),
        **texts,
    )
