"""`claude-ai`: the data export of Claude.ai, or conversations saved in its shape.

The zip, the folder, or `conversations.json`. One message of the assistant holds its
calls and their results, which are cut apart. `text` repeats what was thought in front
of the answer, so that it is read only where a message has no content.
"""

from __future__ import annotations

from collections.abc import Iterator

from convstore.imports.anthropic_blocks import add_blocks
from convstore.imports.chat import role_of
from convstore.imports.extras import derived_id
from convstore.imports.fields import (
    id_or_none,
    need_object,
    text_or_none,
    time_or_none,
)
from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession
from convstore.imports.pieces import pointer_part
from convstore.imports.reader import base_name, each_record
from convstore.imports.steps import Steps
from convstore.imports.talk import Said, Talk
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

NAME = "claude-ai"
_ROOT = "00000000-0000-4000-8000-000000000000"
# `text` is what the blocks say, and what the screen says where they are not shown.
_READ = (
    "uuid",
    "name",
    "created_at",
    "account",
    "current_leaf_message_uuid",
    "chat_messages",
)
_TOLD = ("sender", "updated_at", "text")
_COMPANIONS = ("projects.json", "users.json", "memories.json")


def read(material: Material) -> Iterator[Found]:
    """All conversations of the export."""
    names = [n for n in material.names if base_name(n) == "conversations.json"]
    names = names or [n for n in material.names if base_name(n) not in _COMPANIONS]
    yield from each_record(material, names, parse)


def parse(record: Json) -> ImportedSession:
    """The session of one conversation.

    Raises:
        InvalidInputError: It has no list of messages, or a message no sender.
    """
    given = need_object("record", record)
    messages = given.get("chat_messages")
    if not isinstance(messages, list):
        raise InvalidInputError("chat_messages", "must be a list")
    talk = Talk(NAME, id_or_none(given, "uuid") or derived_id(NAME, given), _TOLD)
    talk.title = given.get("name")
    talk.created_at = talk.time("created_at", given.get("created_at"))
    account = given.get("account")
    if isinstance(account, dict):
        talk.user_id = talk.text("user", account.get("uuid"))
        talk.keep_rest(account, "uuid", under="account")
    talk.head = talk.text("head", given.get("current_leaf_message_uuid"))
    talk.keep_rest(given, *_READ)
    before: str | None = None
    for place, message in enumerate(messages):
        before = _add(talk, f"chat_messages[{place}]", message, before, place)
    return talk.session()


def _add(talk: Talk, field: str, given: Json, before: str | None, place: int) -> str:
    message = need_object(field, given)
    role, _ = role_of(f"{field}.sender", message.get("sender"))
    message_id = text_or_none(message.get("uuid")) or f"message-{place + 1}"
    # Without parents the list is one line.
    parent = before
    if "parent_message_uuid" in message:
        parent = text_or_none(message["parent_message_uuid"])
    steps = Steps(talk, role, at=time_or_none(message.get("created_at")))
    content = message.get("content")
    # It says again what the blocks say, where there are some.
    text = talk.text("text", message.get("text"))
    if isinstance(content, list) and content:
        add_blocks(steps, content)
    elif text is not None:
        steps.text(text)
    for file in _listed(message, "attachments"):
        _attach(talk, steps, file)
    for file in (*_listed(message, "files"), *_listed(message, "files_v2")):
        part = pointer_part(
            str(file.get("file_kind") or "file"),
            text_or_none(file.get("file_uuid")),
            name=file.get("file_name"),
            source=file,
        )
        steps.attach(part)
    made = steps.finished() or [Said("", role, "", at=steps.at)]
    if message.get("updated_at") not in (None, message.get("created_at")):
        made[-1].metadata["updated_at"] = message["updated_at"]
    talk.source(made, message)
    talk.say_all(message_id, None if parent == _ROOT else parent, made)
    return message_id


def _listed(message: JsonObject, key: str) -> list[JsonObject]:
    given = message.get(key)
    items = given if isinstance(given, list) else []
    return [item for item in items if isinstance(item, dict)]


def _attach(talk: Talk, steps: Steps, file: JsonObject) -> None:
    """A file whose text the model read: that text is all that the export has of it."""
    text = text_or_none(file.get("extracted_content"))
    part = pointer_part(
        "file",
        text_or_none(file.get("id")),
        name=file.get("file_name"),
        media_type=file.get("file_type"),
        size_bytes=file.get("file_size"),
    )
    if text is not None:
        part["text"] = text
    steps.attach(part, with_bytes=text is not None)
