"""`librechat`: conversations as LibreChat exports them, flat or recursive."""

from __future__ import annotations

from collections.abc import Iterator

from convstore.imports.extras import derived_id
from convstore.imports.fields import (
    count_or_none,
    id_or_none,
    need_object,
    rest_of,
    text_or_none,
    time_or_none,
)
from convstore.imports.material import Found, Material
from convstore.imports.model import ImportedSession
from convstore.imports.pieces import has_bytes, image_part, pointer_part
from convstore.imports.reader import each_record
from convstore.imports.steps import Steps
from convstore.imports.talk import Said, Talk, Vote
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

NAME = "librechat"
_ROOT = "00000000-0000-0000-0000-000000000000"
# Some of them are about the file.
_READ = (
    "conversationId",
    "title",
    "tags",
    "messages",
    "exportAt",
    "branches",
    "recursive",
)
_TOLD = ("messageId", "isCreatedByUser", "feedback")
_RATINGS = {"thumbsUp": "thumbs_up", "thumbsDown": "thumbs_down"}


def read(material: Material) -> Iterator[Found]:
    """All conversations."""
    yield from each_record(material, material.names, parse)


def parse(record: Json) -> ImportedSession:
    """The session of one conversation.

    Raises:
        InvalidInputError: It has no list of messages; names the field.
    """
    given = need_object("record", record)
    messages = given.get("messages")
    if not isinstance(messages, list):
        raise InvalidInputError("messages", "must be a list")
    talk = Talk(
        NAME, id_or_none(given, "conversationId") or derived_id(NAME, given), _TOLD
    )
    talk.title = given.get("title")
    options = _object(given.get("options"))
    talk.tags = given.get("tags")
    talk.keep_rest(given, *_READ)
    known = list(_flat(messages))
    prompt = text_or_none(options.get("promptPrefix"))
    top = None
    if prompt and known:
        top = talk.say(Said("system", "system", prompt)).id
    before = top
    for place, (parent, message) in enumerate(known):
        message_id = text_or_none(message.get("messageId")) or f"message-{place + 1}"
        # Without a parent the order is the file's; the id of zeros is a first message.
        parent = top if parent == _ROOT else parent or before
        _add(talk, message_id, message, parent)
        before = message_id
    return talk.session()


def _flat(messages: list[Json]) -> Iterator[tuple[str | None, JsonObject]]:
    """The messages, those inside others behind them; a stack, for trees may be deep."""
    waiting: list[tuple[str | None, Json]] = [(None, m) for m in reversed(messages)]
    while waiting:
        above, value = waiting.pop()
        message = need_object("messages", value)
        parent = text_or_none(message.get("parentMessageId")) or above
        yield parent, message
        children = message.get("children")
        if isinstance(children, list):
            own = text_or_none(message.get("messageId"))
            waiting.extend((own, child) for child in reversed(children))


def _add(talk: Talk, message_id: str, message: JsonObject, parent: str | None) -> None:
    # Who speaks only this says: the sender is a name on the screen.
    role = "user" if message.get("isCreatedByUser") is True else "assistant"
    steps = Steps(talk, role, at=time_or_none(message.get("createdAt")))
    steps.model = text_or_none(message.get("model"))
    content = message.get("content")
    if isinstance(content, list) and content:
        for part in content:
            _part(steps, _object(part))
    elif text_or_none(message.get("text")):
        steps.text(message["text"])
    for key in ("files", "attachments"):
        files = message.get(key)
        for file in files if isinstance(files, list) else ():
            _file(steps, _object(file))
    made = steps.finished() or [Said("", role, "", at=steps.at, model=steps.model)]
    last = made[-1]
    last.finish_reason = text_or_none(message.get("finish_reason"))
    if role == "assistant":
        last.tokens_out = count_or_none(message.get("tokenCount"))
    for key in ("error", "unfinished", "isEdited"):
        if message.get(key) is True:
            last.metadata[key] = True
    if text_or_none(message.get("sender")):
        last.metadata["sender"] = message["sender"]
    talk.say_all(message_id, parent, made)
    talk.source(made, {k: v for k, v in message.items() if k != "children"})
    _judge(talk, message_id, message)


def _part(steps: Steps, part: JsonObject) -> None:
    kind = part.get("type")
    if kind == "text":
        text = part.get("text")
        text = text.get("value") if isinstance(text, dict) else text
        if isinstance(text, str):
            steps.text(text)
    elif kind in ("think", "thinking", "reasoning"):
        thought = part.get("think") or part.get("thinking") or part.get("text")
        steps.thought(thought if isinstance(thought, str) else "")
    elif kind == "tool_call":
        call = _object(part.get("tool_call"))
        function = _object(call.get("function"))
        name = call.get("name") or function.get("name")
        asked = call.get("args") or function.get("arguments")
        steps.call(call.get("id"), name, asked)
        output = call.get("output", function.get("output"))
        if output is not None:
            steps.result(call.get("id"), output, name=name)
    elif kind in ("image_file", "image_url"):
        _file(steps, {"type": "image", **_object(part.get(str(kind)))})
    elif kind == "error":
        text = part.get("error") or part.get("text")
        steps.text(text if isinstance(text, str) else "")
        steps.open.metadata["error"] = True
    elif kind != "agent_update":
        steps.talk.drop(f"part:{kind}" if isinstance(kind, str) else "part")


def _file(steps: Steps, file: JsonObject) -> None:
    url = text_or_none(file.get("url") or file.get("filepath"))
    if has_bytes(url):
        steps.attach(image_part(str(url)), with_bytes=True)
        return
    part = pointer_part(
        str(file.get("type")),
        url or text_or_none(file.get("file_id")),
        name=file.get("filename"),
        size_bytes=file.get("bytes"),
        source=file,
    )
    steps.attach(part)


def _judge(talk: Talk, message_id: str, message: JsonObject) -> None:
    given = _object(message.get("feedback"))
    rating = given.get("rating")
    if not isinstance(rating, str):
        talk.name_rest("feedback", given)
        return
    tag = given.get("tag")
    tag = tag.get("key") if isinstance(tag, dict) else tag
    vote = Vote(f"{message_id}:feedback", message_id, _RATINGS.get(rating, rating))
    vote.reason = talk.text("feedback.tag", tag)
    vote.content = talk.text("feedback.comment", given.get("text"))
    vote.metadata = rest_of(given, "rating", "tag", "text")
    if isinstance(given.get("tag"), dict) and (more := rest_of(given["tag"], "key")):
        vote.metadata["tag"] = more
    talk.vote(vote)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}
