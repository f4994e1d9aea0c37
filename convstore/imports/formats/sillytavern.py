"""`sillytavern`: chats of SillyTavern: a line that begins it, and a message a line.

Swipes are answers beside each other, of which the one in use is on the head. A message
that was edited after its swipe stays as it reads now, with the swipe as what an edit
was made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from convstore.imports.fields import text_or_none, time_or_none
from convstore.imports.material import Found, LeftOut, Material
from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.pieces import pointer_part, text_part, thought_part
from convstore.imports.reader import base_name
from convstore.imports.rowsets import MOST_ROWS, made
from convstore.imports.steps import merge_text
from convstore.imports.talk import Said, Talk, Vote, digest_of
from convstore.vocabulary.records import Json, JsonObject

NAME = "sillytavern"
_HUMANE = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2}) ?@ ?(?P<hour>\d{1,2})h ?"
    r"(?P<minute>\d{1,2})m ?(?P<second>\d{1,2})s(?: ?(?P<milli>\d{1,3})ms)?"
)
_TOLD = ("is_user", "is_system", "send_date", "swipe_id", "token_count")
_HEAD = ("user_name", "character_name", "create_date")
_WORDS = "%B %d, %Y %I:%M%p"


def read(material: Material) -> Iterator[Found]:
    """A conversation for each file."""
    for number, name in enumerate(material.names, 1):
        rows: list[JsonObject] = []
        for record in material.records(name):
            if isinstance(record, Rejected):
                yield material.told(record, name)
            elif isinstance(record.value, dict) and len(rows) < MOST_ROWS:
                rows.append(record.value)
            else:
                yield LeftOut("line_of_no_kind")
        if rows:
            yield made(
                number,
                lambda rows=rows, name=name: _session(base_name(name), rows),  # type: ignore[misc]
            )


def _session(file: str, rows: list[JsonObject]) -> ImportedSession:
    head = rows[0] if "mes" not in rows[0] else {}
    character, created = head.get("character_name"), head.get("create_date")
    told = _object(head.get("chat_metadata"))
    named = text_or_none(told.get("integrity"))
    talk_id = named or f"sillytavern-{digest_of([file, character, created])}"
    talk = Talk(NAME, talk_id, _TOLD)
    talk.title = character if character != "unused" else file.removesuffix(".jsonl")
    talk.created_at = time_of(created)
    talk.drop("create_date", bool(created) and talk.created_at is None)
    user = head.get("user_name")
    talk.user_id = talk.text("user", user) if user != "unused" else None
    talk.metadata = {"chat_metadata": told} if told else {}
    talk.keep_rest(head, *_HEAD, *(("chat_metadata",) if told else ()))
    parent: str | None = None
    for place, row in enumerate(rows):
        if "mes" in row:
            parent = _add(talk, place, row, parent)
        elif row is not head:
            talk.drop("line_of_no_kind")
    talk.head = parent
    return talk.session()


def time_of(value: Json) -> datetime | None:
    """A time in any of the ways that the tool has written it; without zone as UTC."""
    at = time_or_none(value)
    if at is not None or not isinstance(value, str):
        return at
    found = _HUMANE.fullmatch(value.strip())
    try:
        if found is not None:
            parts = {k: int(v) for k, v in found.groupdict().items() if v}
            micros = parts.pop("milli", 0) * 1000
            return datetime(**parts, microsecond=micros, tzinfo=UTC)
        return datetime.strptime(value.strip(), _WORDS).replace(tzinfo=UTC)
    except ValueError:
        return None


def _add(talk: Talk, place: int, row: JsonObject, parent: str | None) -> str:
    """Add a message with its swipes; the id of the one in use."""
    extra = _object(row.get("extra"))
    role = "user" if row.get("is_user") is True else "assistant"
    hidden = row.get("is_system") is True
    if hidden and extra.get("type"):
        role = "system"
    text = str(row.get("mes") or "")
    swipes, infos = row.get("swipes"), row.get("swipe_info")
    swipes = swipes if isinstance(swipes, list) and role == "assistant" else []
    infos = infos if isinstance(infos, list) else []
    used = row.get("swipe_id")
    if not isinstance(used, int) or not 0 <= used < len(swipes):
        talk.drop("swipe_id", bool(used))
        used = None
    name = f"message-{place}"
    chosen = name
    made: list[Said] = []
    for number, swipe in enumerate(swipes):
        if not isinstance(swipe, str):
            continue
        info = _object(infos[number]) if number < len(infos) else {}
        own = f"{name}/{number}"
        if number == used:
            chosen = own
            made.insert(0, _say(talk, own, role, text, row, extra, parent))
            if swipe != text:
                talk.vote(_edit(own, swipe))
        else:
            told = info | {"name": row.get("name")}
            inner = _object(info.get("extra"))
            made.append(_say(talk, own, role, swipe, told, inner, parent))
    if used is None:
        said = _say(talk, name, role, text, row, extra, parent)
        if hidden and role != "system":
            said.metadata["hidden"] = True
        made.insert(0, said)
    talk.source(made, row)
    return chosen


def _edit(on: str, original: str) -> Vote:
    """That the message was edited: the swipe is what it was before."""
    return Vote(f"{on}:edit", on, action="edit", metadata={"original": original})


def _say(
    talk: Talk,
    name: str,
    role: str,
    text: str,
    row: JsonObject,
    extra: JsonObject,
    parent: str | None,
) -> Said:
    said = Said(name, role, parent=parent, at=time_of(row.get("send_date")))
    said.name = text_or_none(row.get("name"))
    thought = text_or_none(extra.get("reasoning"))
    if thought:
        said.parts.append(thought_part(thought))
    said.parts.append(text_part(text))
    for key in ("image", "video", "file", "audio"):
        pointer = extra.get(key)
        if isinstance(pointer, dict):
            pointer = pointer.get("url")
        if isinstance(pointer, str) and pointer:
            talk.attach(said, pointer_part(key, pointer), with_bytes=False)
    merge_text(said)
    said.model = text_or_none(extra.get("model"))
    count = extra.get("token_count")
    said.tokens_out = count if type(count) is int and role == "assistant" else None
    kept = ("reasoning", "model", "image", "token_count")
    left = {k: v for k, v in extra.items() if k not in kept and v not in (None, False)}
    if left:
        said.metadata["extra"] = left
    return talk.say(said)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
