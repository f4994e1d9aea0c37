"""`discord`: channels as DiscordChatExporter writes them.

What is a reply belongs to the conversation of what it replies to. What is in no thread
is one conversation for each channel and day.
"""

from __future__ import annotations

from collections.abc import Iterator

from convstore.imports.fields import need_object, text_or_none, time_or_none
from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession
from convstore.imports.pieces import pointer_part, text_part
from convstore.imports.reader import each_record
from convstore.imports.steps import merge_text
from convstore.imports.talk import Said, Talk
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

NAME = "discord"
_SAID = ("Default", "Reply", "ThreadStarterMessage", "0", "19")


def read(material: Material) -> Iterator[Found]:
    """All conversations of all channels."""
    yield from each_record(material, material.names, parse)


def parse(record: Json) -> list[ImportedSession]:
    """The sessions of one channel.

    Raises:
        InvalidInputError: It has no messages.
    """
    given = need_object("record", record)
    channel = need_object("channel", given.get("channel"))
    messages = given.get("messages")
    if not isinstance(messages, list):
        raise InvalidInputError("messages", "must be a list")
    known = [need_object("messages", message) for message in messages]
    above = {str(m.get("id")): _reference(m) for m in known}
    replied = {reference for reference in above.values() if reference}
    threads: dict[str, str] = {}
    talks: dict[str, Talk] = {}
    for message in known:
        name = _thread(str(message.get("id")), above, replied, threads)
        day = str(message.get("timestamp"))[:10]
        talk_id = f"{channel.get('id')}/{name or day}"
        talk = talks.get(talk_id)
        if talk is None:
            talk = talks[talk_id] = Talk(NAME, talk_id, ("isBot", "messageId"))
            talk.title = channel.get("name")
            talk.metadata = {"channel": channel, "guild": given.get("guild")}
            talk.keep_rest(given, "channel", "guild", "messages")
        _add(talk, message, above)
    return [talk.session() for talk in talks.values()]


def _reference(message: JsonObject) -> str | None:
    reference = message.get("reference")
    return (
        text_or_none(reference.get("messageId"))
        if isinstance(reference, dict)
        else None
    )


def _thread(
    name: str, above: dict[str, str | None], replied: set[str], known: dict[str, str]
) -> str | None:
    """The first message of the thread that a message is in; `known` are those that
    were found before, so that each way up is walked once."""
    if above.get(name) is None and name not in replied:
        return None
    seen: dict[str, None] = {}
    at: str | None = name
    first = name
    while at is not None and at not in seen and at not in known:
        seen[at] = None
        first, at = at, above.get(at)
    if at is not None:
        first = known[at] if at in known else min(seen)
    known.update(dict.fromkeys(seen, first))
    return first


def _add(talk: Talk, message: JsonObject, above: dict[str, str | None]) -> None:
    name, kind = str(message.get("id")), message.get("type")
    author = message.get("author")
    author = author if isinstance(author, dict) else {}
    parent = above.get(name) or talk.last
    if isinstance(kind, str) and kind not in _SAID:
        talk.drop(f"message:{kind}")
        return
    said = Said(name, "assistant" if author.get("isBot") is True else "user")
    said.parent, said.at = parent, time_or_none(message.get("timestamp"))
    said.name = text_or_none(author.get("name"))
    said.parts.append(text_part(str(message.get("content") or "")))
    files = message.get("attachments")
    for file in files if isinstance(files, list) else ():
        if isinstance(file, dict):
            part = pointer_part(
                "file",
                text_or_none(file.get("url")),
                name=file.get("fileName"),
                size_bytes=file.get("fileSizeBytes"),
            )
            talk.attach(said, part, with_bytes=False)
    merge_text(said)
    said.metadata = {"author_id": author.get("id")}
    for key in ("embeds", "reactions", "timestampEdited"):
        if message.get(key):
            said.metadata[key] = message[key]
    talk.source([said], message)
    talk.say(said)
