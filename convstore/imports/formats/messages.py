"""`messages`: chat messages of the OpenAI and TRL kind, one conversation per record.

The list is under `messages`, `traj`, `conversation` or `conversations`, the first that
is there. A number under `reward`, as agent benchmarks write it, becomes feedback on the
session by code.
"""

from __future__ import annotations

from convstore.errors import InvalidInputError
from convstore.imports.chat import messages_of, turns_of
from convstore.imports.fields import need_list, need_object, number_or_none
from convstore.imports.keeping import build_session, external_id, kept
from convstore.imports.model import ImportedSession
from convstore.imports.tools import offer_tools, offered_tools
from convstore.records import InteractionInput, Json, JsonObject

NAME = "messages"
_KEYS = ("messages", "traj", "conversation", "conversations")


def parse(record: Json) -> ImportedSession:
    """The session of one record.

    Raises:
        InvalidInputError: No messages, or one that is none; names the field.
    """
    fields = need_object("record", record)
    key = next((key for key in _KEYS if key in fields), None)
    if key is None:
        raise InvalidInputError("record", f"has none of {', '.join(_KEYS)}")
    turns = turns_of(need_list(key, fields[key]), field=key)
    turns, tools_key = offer_tools(turns, fields)
    return build_session(
        NAME,
        fields,
        tuple(turns),
        taken=tools_key | {key},
        notes={} if key == _KEYS[0] else {"key": key},
        interactions=_reward(fields),
    )


def to_record(session: ImportedSession) -> JsonObject:
    """The record that `parse` took."""
    left_over, notes = kept(session.metadata)
    return {
        **offered_tools(session.turns),
        **left_over,
        notes.get("key", _KEYS[0]): messages_of(session.turns),
    }


def _reward(record: JsonObject) -> tuple[InteractionInput, ...]:
    reward = number_or_none(record.get("reward"))
    if reward is None:
        return ()
    act = InteractionInput(
        action="feedback",
        score=reward,
        actor_kind="code",
        external_id=external_id(1),
    )
    return (act,)
