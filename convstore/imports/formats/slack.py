"""`slack`: a workspace as Slack exports it: a folder a channel, a list a day.

A thread is a conversation. What is in no thread is one conversation for each channel
and day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime

from convstore.imports.fields import text_or_none, time_or_none
from convstore.imports.material import Found, LeftOut, Material
from convstore.imports.model import Rejected
from convstore.imports.pieces import pointer_part, text_part
from convstore.imports.reader import base_name
from convstore.imports.rowsets import MOST_ROWS, made
from convstore.imports.steps import merge_text
from convstore.imports.talk import Said, Talk
from convstore.vocabulary.records import JsonObject

NAME = "slack"
_COMPANIONS = (
    "users.json channels.json integration_logs.json groups.json dms.json mpims.json "
    "canvases.json file_conversations.json lists.json huddle_transcripts.json"
).split()
_SAID = ("bot_message", "thread_broadcast", "me_message", "file_share")


def read(material: Material) -> Iterator[Found]:
    """All conversations, a channel at a time."""
    people: dict[str, str] = {}
    channels: defaultdict[str, list[str]] = defaultdict(list)
    for name in material.names:
        if base_name(name) == "users.json":
            for record in material.records(name):
                if not isinstance(record, Rejected) and isinstance(record.value, dict):
                    _note(record.value, people)
        elif base_name(name) not in _COMPANIONS:
            channels[name.rpartition("/")[0].rpartition("/")[2]].append(name)
    for channel, names in channels.items():
        talks: dict[str, Talk] = {}
        yield from _gathered(material, channel or material.name, names, talks, people)
        for number, talk in enumerate(talks.values(), 1):
            yield made(number, talk.session)


def _gathered(
    material: Material,
    channel: str,
    names: list[str],
    talks: dict[str, Talk],
    people: dict[str, str],
) -> Iterator[Found]:
    """Put the messages of a channel to their conversations, and give what is none."""
    rows = 0
    for name in names:
        for record in material.records(name):
            if isinstance(record, Rejected):
                yield material.told(record, name)
                continue
            rows += 1
            message = record.value if isinstance(record.value, dict) else {}
            kind = _why_not(message, rows)
            if kind is None:
                _add(talks, channel, message, people)
            else:
                yield LeftOut(kind)


def _note(user: JsonObject, people: dict[str, str]) -> None:
    profile = user.get("profile")
    shown = profile.get("display_name") if isinstance(profile, dict) else None
    name = text_or_none(shown) or text_or_none(user.get("name"))
    if name is not None:
        people[str(user.get("id"))] = name


def _why_not(message: JsonObject, rows: int) -> str | None:
    if rows > MOST_ROWS:
        return "row_too_many"
    if message.get("type") != "message" or not isinstance(message.get("ts"), str):
        return "line_of_no_kind"
    subtype = message.get("subtype")
    return f"message:{subtype}" if subtype and subtype not in _SAID else None


def _add(
    talks: dict[str, Talk], channel: str, message: JsonObject, people: dict[str, str]
) -> None:
    stamp, thread = str(message["ts"]), text_or_none(message.get("thread_ts"))
    at = time_or_none(stamp)
    day = (at or datetime(1970, 1, 1, tzinfo=UTC)).strftime("%Y-%m-%d")
    talk_id = f"{channel}/{thread or day}"
    talk = talks.get(talk_id)
    if talk is None:
        talk = talks[talk_id] = Talk(NAME, talk_id, ("ts", "thread_ts"))
        talk.title = channel
    bot = message.get("bot_id") or message.get("subtype") == "bot_message"
    said = Said(stamp, "assistant" if bot else "user", parent=talk.last, at=at)
    user = str(message.get("user"))
    said.name = text_or_none(message.get("username")) or people.get(user) or user
    said.parts.append(text_part(str(message.get("text") or "")))
    files = message.get("files")
    for file in files if isinstance(files, list) else ():
        if isinstance(file, dict):
            part = pointer_part(
                str(file.get("mimetype")),
                text_or_none(file.get("url_private")),
                name=file.get("name"),
                size_bytes=file.get("size"),
            )
            if text_or_none(file.get("id")):
                # By it tools that save files name them.
                part["id"] = file["id"]
            talk.attach(said, part, with_bytes=False)
    merge_text(said)
    for key in ("reactions", "edited", "user", "bot_id"):
        if message.get(key):
            said.metadata[key] = message[key]
    talk.source([said], message)
    talk.say(said)
