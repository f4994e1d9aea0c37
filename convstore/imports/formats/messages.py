"""`messages`: chat messages of the OpenAI and TRL kind, one conversation per record.

The list is under `messages`, `traj`, `conversation` or `conversations`, the first that
is there; or the conversation is a `prompt` and its `completion`. A number under
`reward`, as agent benchmarks write it, becomes feedback on the session by code.
"""

from __future__ import annotations

from convstore.imports.chat import turns_of
from convstore.imports.exchange import KEYS, read_exchange
from convstore.imports.extras import build_session, external_id
from convstore.imports.fields import (
    need_list,
    need_object,
    number_or_none,
)
from convstore.imports.labels import labels_of
from convstore.imports.model import ImportedSession
from convstore.imports.tools import offer_tools
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import InteractionInput, Json, JsonObject, TurnInput

NAME = "messages"
_KEYS = ("messages", "traj", "conversation", "conversations")


def parse(record: Json) -> ImportedSession:
    """The session of one record.

    Raises:
        InvalidInputError: No messages, or one that is none; names the field.
    """
    fields = need_object("record", record)
    turns, taken, notes = _read(fields)
    turns, tools_key = offer_tools(turns, fields)
    return build_session(
        NAME,
        fields,
        tuple(turns),
        taken=tools_key | taken,
        notes=notes,
        interactions=(*_reward(fields), *labels_of(fields, turns)),
    )


def _read(record: JsonObject) -> tuple[list[TurnInput], frozenset[str], JsonObject]:
    key = next((key for key in _KEYS if key in record), None)
    if key is not None:
        turns = turns_of(need_list(key, record[key]), field=key)
        return turns, frozenset({key}), {} if key == _KEYS[0] else {"key": key}
    if not record.keys() >= KEYS:
        raise InvalidInputError("record", f"has none of {', '.join(_KEYS)}")
    turns, notes = read_exchange(record)
    return turns, KEYS, notes


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
