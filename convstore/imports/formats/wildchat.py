"""`wildchat`: rows of WildChat and LMSYS-Chat-1M.

What a turn was moderated with goes with the turn. The address, the browser and the
place of whoever asked are personal, and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from convstore.imports.chat_messages import said_of_chat
from convstore.imports.extras import derived_id
from convstore.imports.fields import (
    id_or_none,
    language_or_none,
    need_list,
    need_object,
)
from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession
from convstore.imports.reader import each_record
from convstore.imports.talk import Talk
from convstore.vocabulary.records import Json, JsonObject

NAME = "wildchat"
_PERSONAL = ("hashed_ip", "header", "state", "country")
_MODERATION = ("openai_moderation", "detoxify_moderation")


def read(material: Material) -> Iterator[Found]:
    """All rows."""
    yield from each_record(material, material.names, parse)


def parse(record: Json) -> ImportedSession:
    """The session of one row.

    Raises:
        InvalidInputError: It has no conversation, or a message without role.
    """
    row = need_object("record", record)
    messages = need_list("conversation", row.get("conversation"))
    named = id_or_none(row, "conversation_hash", "conversation_id")
    talk = Talk(NAME, named or derived_id(NAME, row))
    talk.language = language_or_none(row.get("language"))
    talk.created_at = talk.time("created_at", row.get("timestamp"))
    taken = {"conversation", "conversation_hash", "conversation_id", *_PERSONAL}
    taken |= {"model", "timestamp", "language", *_MODERATION}
    talk.metadata = {k: v for k, v in row.items() if k not in taken and v is not None}
    _name_left_out(talk, row, len(messages))
    model = talk.text("model", row.get("model"))
    for place, value in enumerate(messages):
        message = need_object(f"conversation[{place}]", value)
        kept = {k: v for k, v in message.items() if k not in _PERSONAL}
        _name_personal(talk, message)
        before = talk.last
        said = said_of_chat(talk, kept, f"message-{place + 1}")
        said.parent = before
        if said.role == "assistant":
            said.model = model
        said.metadata |= _moderation(row, place)
        talk.say(said)
    return talk.session()


def _name_left_out(talk: Talk, row: JsonObject, turns: int) -> None:
    _name_personal(talk, row)
    for name in _MODERATION:
        given = row.get(name)
        if isinstance(given, list):
            talk.drop(name, max(0, len(given) - turns))
        else:
            talk.drop(name, given is not None)


def _name_personal(talk: Talk, given: JsonObject) -> None:
    for name in _PERSONAL:
        talk.drop(f"personal:{name}", given.get(name) is not None)


def _moderation(row: JsonObject, place: int) -> JsonObject:
    found: JsonObject = {}
    for name in _MODERATION:
        given = row.get(name)
        if isinstance(given, list) and place < len(given):
            found[name] = given[place]
    return found
