"""`open-webui`: chats as Open WebUI exports them, its feedback, or its database.

Chats come one to a line (0.12), as one list (older), or as a list of one. A chat is a
tree in `history.messages`; very old files have only the path that was shown. Feedback
lies in the messages, and in an export of its own, which beside the chats adds what they
do not have, and by itself gives the conversations as their raters saw them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from convstore.imports.chat import role_of
from convstore.imports.extras import derived_id
from convstore.imports.fields import (
    id_or_none,
    need_object,
    rest_of,
    text_or_none,
    time_or_none,
)
from convstore.imports.formats.open_webui_details import cut_details
from convstore.imports.formats.open_webui_feedback import judge, vote_of
from convstore.imports.grouping import Record
from convstore.imports.material import Found, LeftOut, Material
from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.openai_items import Item, steps_of_items
from convstore.imports.pieces import has_bytes, image_part, pointer_part, text_part
from convstore.imports.reader import each_record
from convstore.imports.steps import Steps, merge_text
from convstore.imports.talk import Said, Talk, Vote
from convstore.vocabulary.errors import CorruptionError, InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

NAME = "open-webui"
_READ = ("id", "user_id", "title", "chat", "created_at")
_READ_OF_CHAT = ("timestamp", "tags", "messages", "system")
_OF_ROW = ("id", "chat_id", "user_id", "timestamp", "updated_at", "done")
_TOLD = ("annotation", "feedbackId", "done", "models")
_USAGE = {
    "tokens_in": ("prompt_tokens", "input_tokens", "prompt_eval_count"),
    "tokens_out": ("completion_tokens", "output_tokens", "eval_count"),
}

_Votes: TypeAlias = dict[str, list[JsonObject]]


def read(material: Material) -> Iterator[Found]:
    """All chats, with the feedback that lies beside them."""
    if material.tables is not None:
        yield from _of_database(material)
        return
    judged = [name for name in material.names if _begins_with_feedback(material, name)]
    votes, newest, copies = _votes(material, judged)
    chats = [name for name in material.names if name not in judged]
    if chats:
        yield from each_record(material, chats, lambda record: parse(record, votes))
        if copies:
            yield LeftOut("snapshot", copies)
    else:
        yield from each_record(
            material, judged, lambda record: _snapshot(record, votes, newest)
        )
    for left in votes.values():
        yield LeftOut("feedback_without_its_turn", len(left))


def _begins_with_feedback(material: Material, name: str) -> bool:
    for record in material.records(name):
        return isinstance(record, Record) and is_feedback(record.value)
    return False


def _votes(material: Material, names: list[str]) -> tuple[_Votes, dict[str, Json], int]:
    """The judgements by their chats, without the copies of these; of each chat the
    judgement with the newest copy; and how many copies there are."""
    copies = 0
    votes: _Votes = defaultdict(list)
    newest: dict[str, JsonObject] = {}
    for name in names:
        for record in material.records(name):
            if not isinstance(record, Record) or not is_feedback(record.value):
                continue
            chat = _chat_id(record.value)
            vote = {key: v for key, v in record.value.items() if key != "snapshot"}
            copies += bool(record.value.get("snapshot"))
            votes[chat].append(vote)
            best = newest.setdefault(chat, vote)
            if _moment(vote.get("created_at")) > _moment(best.get("created_at")):
                newest[chat] = vote
    return votes, {chat: vote.get("id") for chat, vote in newest.items()}, copies


def is_feedback(record: Json) -> bool:
    """Whether a record is a judgement, and no chat."""
    return (
        isinstance(record, dict)
        and isinstance(record.get("data"), dict)
        and isinstance(record.get("meta"), dict)
        and "chat" not in record
    )


def _chat_id(vote: JsonObject) -> str:
    return str(_object(vote.get("meta")).get("chat_id"))


def _snapshot(
    record: Json, votes: _Votes, newest: Mapping[str, Json]
) -> Iterator[ImportedSession | LeftOut]:
    """The conversation in a judgement, if no other of its chat has a newer copy."""
    if not isinstance(record, dict) or not is_feedback(record):
        raise InvalidInputError("record", "is no feedback")
    chat = _chat_id(record)
    copy = _object(_object(record.get("snapshot")).get("chat"))
    if newest.get(chat) != record.get("id") or not copy:
        yield LeftOut("snapshot_that_is_not_the_newest")
        return
    for key in rest_of(record["snapshot"], "chat"):
        yield LeftOut(f"snapshot.{key}")
    yield parse({"id": chat, **copy}, votes)


def _of_database(material: Material) -> Iterator[Found]:
    tables = material.tables
    assert tables is not None
    votes: _Votes = defaultdict(list)
    for row in tables.rows("feedback", order=["created_at"]):
        vote = {key: _column(material, value) for key, value in row.items()}
        if vote.pop("snapshot", None):
            yield LeftOut("snapshot")
        votes[_chat_id(vote)].append(vote)
    for number, row in enumerate(tables.rows("chat"), 1):
        try:
            chat = {key: _column(material, value) for key, value in row.items()}
            yield from map(LeftOut, _newer(material, chat))
            yield parse(chat, votes)
        except (InvalidInputError, CorruptionError) as error:
            yield Rejected(number, error.code, str(error), None)
    for left in votes.values():
        yield LeftOut("feedback_without_its_turn", len(left))


def _column(material: Material, value: Json) -> Json:
    if isinstance(value, str) and value[:1] in ("{", "[", '"'):
        try:
            return material.decoded(value)
        except InvalidInputError:
            return value
    return value


def _newer(material: Material, chat: JsonObject) -> list[str]:
    """Put in the messages that the database has in rows, where those are newer: than
    the chat that holds the others, or than one that says nothing. What the older of two
    says otherwise is named."""
    left: list[str] = []
    tables = material.tables
    history = _object(_object(chat.get("chat")).get("history"))
    messages = history.get("messages")
    if tables is None or not isinstance(messages, dict):
        return left
    written = _moment(chat.get("updated_at"))
    for row in tables.rows("chat_message", where={"chat_id": chat.get("id")}):
        told = {key: value for key, value in row.items() if value != "null"}
        given = {key: _column(material, value) for key, value in told.items()}
        message_id = str(given.get("id")).removeprefix(f"{chat.get('id')}-")
        known = _object(messages.get(message_id))
        at = _moment(given.get("updated_at"))
        empty = at > _moment(known.get("timestamp")) and not known.get("content")
        message = _as_message(message_id, given)
        newer = message_id not in messages or at > written or empty
        old, new = (known, message) if newer else (message, known)
        if newer:
            messages[message_id] = known | message
            old = {key: value for key, value in known.items() if key in message}
        told = rest_of(old, *_OF_ROW)
        left += [f"message.{key}" for key in told if told[key] != new.get(key)]
    return left


def _moment(value: Json) -> float:
    at = time_or_none(value)
    return 0.0 if at is None else at.timestamp()


def _as_message(message_id: str, row: JsonObject) -> JsonObject:
    names = {
        "parent_id": "parentId",
        "model_id": "model",
        "created_at": "timestamp",
        "status_history": "statusHistory",
    }
    told = {names.get(key, key): value for key, value in row.items()}
    return {k: v for k, v in told.items() if v is not None} | {"id": message_id}


def parse(record: Json, votes: _Votes | None = None) -> ImportedSession:
    """The session of one chat.

    Raises:
        InvalidInputError: It has no messages where a chat has them; names the field.
    """
    row = need_object("record", record)
    chat = need_object("chat", row.get("chat", row))
    history = _object(chat.get("history"))
    messages = history.get("messages", chat.get("messages"))
    if isinstance(messages, list):
        messages = _as_line(messages)
    messages = need_object("chat.history.messages", messages)
    named = id_or_none(row, "id") or id_or_none(chat, "id")
    talk = Talk(NAME, named or derived_id(NAME, row), _TOLD)
    talk.user_id = talk.text("user", row.get("user_id"))
    talk.title = row.get("title") or chat.get("title")
    talk.created_at = talk.time("created_at", row.get("created_at")) or time_or_none(
        chat.get("timestamp")
    )
    talk.tags = _tags(row, chat)
    talk.head = talk.text("head", history.get("currentId"))
    _keep_rest(talk, row, chat)
    if "messages" in history:
        _name_shown(talk, chat.get("messages"), messages)
    top = _system(talk, chat) if messages else None
    seen: dict[str, Vote] = {}
    for key, message in messages.items():
        _add(talk, key, message, top, seen)
    for vote in (votes or {}).pop(str(named), ()):
        judge(talk, vote, seen)
    return talk.session()


def _keep_rest(talk: Talk, row: JsonObject, chat: JsonObject) -> None:
    params = _object(chat.get("params"))
    params = {key: value for key, value in params.items() if key != "system"}
    history = rest_of(_object(chat.get("history")), "messages", "currentId")
    told = {**chat, "params": params, "history": history}
    talk.keep_rest(told, *_READ, *_READ_OF_CHAT)
    if chat is not row:
        talk.metadata = {"chat": talk.metadata} if talk.metadata else {}
        talk.keep_rest(row, *_READ)


def _name_shown(talk: Talk, shown: Json, messages: JsonObject) -> None:
    """The path that was shown stands beside the tree again: what it says otherwise is
    counted by name."""
    for message in shown if isinstance(shown, list) else ():
        if isinstance(message, dict):
            known = _object(messages.get(str(message.get("id"))))
            same = [key for key in message if message[key] == known.get(key)]
            talk.name_rest("shown", message, *same)


def _as_line(messages: list[Json]) -> JsonObject:
    """The messages of a list by their ids, each following the one before if none
    says what it follows."""
    made: JsonObject = {}
    before: str | None = None
    for place, message in enumerate(messages):
        given = need_object(f"chat.messages[{place}]", message)
        key = text_or_none(given.get("id")) or f"message-{place + 1}"
        made[key] = {"parentId": before, **given} if before else given
        before = key
    return made


def _tags(row: JsonObject, chat: JsonObject) -> Json:
    given = _object(row.get("meta")).get("tags") or chat.get("tags")
    if not isinstance(given, list):
        return given
    return [tag.get("name") if isinstance(tag, dict) else tag for tag in given]


def _system(talk: Talk, chat: JsonObject) -> str | None:
    prompt = talk.text("params.system", _object(chat.get("params")).get("system"))
    other = talk.text("system", chat.get("system"))
    talk.drop("system", None not in (prompt, other) and prompt != other)
    prompt = prompt or other
    if prompt is None:
        return None
    return talk.say(Said("system", "system", prompt, at=talk.created_at)).id


def _add(
    talk: Talk, key: str, given: Json, top: str | None, seen: dict[str, Vote]
) -> None:
    if not isinstance(given, dict):
        talk.drop("message_without_fields")
        return
    message_id = text_or_none(given.get("id")) or key
    role, _ = role_of(f"messages.{key}.role", given.get("role"))
    steps = _steps(talk, given, role)
    if not steps:
        # An answer that failed says nothing, and is one all the same.
        steps = [Said("", role, "")]
    at, usage = time_or_none(given.get("timestamp")), _usage(given.get("usage"))
    for said in steps:
        said.at = at
        if said.role == "assistant":
            said.model = text_or_none(given.get("model"))
    last = steps[-1]
    last.tokens_in, last.tokens_out = usage.get("tokens_in"), usage.get("tokens_out")
    last.metadata |= _kept(given)
    talk.source(steps, given)
    talk.say_all(message_id, text_or_none(given.get("parentId")) or top, steps)
    annotation = given.get("annotation")
    if role == "assistant" and isinstance(annotation, dict):
        feedback_id = (
            text_or_none(given.get("feedbackId")) or f"{message_id}:annotation"
        )
        vote = vote_of(talk, feedback_id, message_id, annotation)
        seen[feedback_id] = seen[f"on:{message_id}"] = vote
        talk.vote(vote)


def _kept(message: JsonObject) -> JsonObject:
    keys = (
        "modelName", "modelIdx", "sources", "statusHistory", "done", "merged", "usage",
        "embeds", "info", "favorite", "originalContent",
    )  # fmt: skip
    kept = {key: message[key] for key in keys if message.get(key) not in (None, [], "")}
    if kept.get("done") is True:
        del kept["done"]
    if message.get("error"):
        kept["error"] = message["error"]
    return kept


def _usage(usage: Json) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, keys in _USAGE.items():
        for key in keys:
            value = _object(usage).get(key)
            if type(value) is int and value >= 0:
                found.setdefault(name, value)
    return found


def _steps(talk: Talk, message: JsonObject, role: str) -> list[Said]:
    output = message.get("output")
    if role == "assistant" and isinstance(output, list) and output:
        items = [Item("", item) for item in output if isinstance(item, dict)]
        return steps_of_items(talk, items)
    content = message.get("content")
    text = content if isinstance(content, str) else None
    if role == "assistant" and text and "<details type=" in text:
        return cut_details(talk, text)
    said = Said("", role)
    if text:
        said.parts.append(text_part(text))
    elif isinstance(content, list):
        Steps(talk).fill(said, content)
    files = message.get("files")
    for file in files if isinstance(files, list) else ():
        if isinstance(file, dict):
            _attach(talk, said, file)
    merge_text(said)
    return [said] if said.content or said.parts else []


def _attach(talk: Talk, said: Said, file: JsonObject) -> None:
    url = file.get("url")
    if file.get("type") == "image" and has_bytes(url):
        talk.attach(said, image_part(str(url)), with_bytes=True)
        return
    pointer = text_or_none(url) or text_or_none(file.get("id"))
    part = pointer_part(
        str(file.get("type")), pointer, name=file.get("name"), source=file
    )
    talk.attach(said, part, with_bytes=False)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
