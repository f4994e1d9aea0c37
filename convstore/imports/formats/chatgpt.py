"""`chatgpt`: the data export of ChatGPT, or one conversation of it.

The zip, the folder, or `conversations.json` (newer exports cut it into
`conversations-000.json` and so on). Pictures, recordings and files lie beside it, under
names that begin with their ids. A conversation is a tree of nodes, of which those
without a message only hang others on. Judgements lie beside it, in
`message_feedback.json` and `model_comparisons.json`.
"""

from __future__ import annotations

import json
import re
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
from convstore.imports.formats.chatgpt_comparisons import FILE, parse_comparison
from convstore.imports.material import Found, LeftOut, Material
from convstore.imports.model import ImportedSession, Rejected
from convstore.imports.pieces import (
    call_part,
    pointer_part,
    text_part,
    thought_part,
)
from convstore.imports.reader import base_name, each_record
from convstore.imports.talk import Said, Talk, Vote, digest_of
from convstore.messages.parts import kind_of
from convstore.vocabulary.records import Json, JsonObject

NAME = "chatgpt"
_CONVERSATIONS = re.compile(r"conversations(-[0-9]+)?[.]json")
_COMPANIONS = re.compile(
    r"(message_feedback|model_comparisons|shared_conversations|user|user_settings|"
    r"export_manifest|conversation_asset_file_names|tasks|sora|shopping|"
    r"group_chats|library_files|basispoints)[.]json"
)
_RATINGS = {"thumbsUp": "thumbs_up", "thumbsDown": "thumbs_down"}
_TOLD = ("weight", "status", "recipient", "update_time")
_NODE = ("id", "parent", "children")
_LINKS = (*_NODE, "message")
_VOTE = (
    "id", "message_id", "conversation_id", "user_id", "create_time", "rating", "content"
)  # fmt: skip
_MOST_UP = 100
"""Steps upwards from a result to its call."""

_Votes: TypeAlias = dict[str, list[JsonObject]]


def read(material: Material) -> Iterator[Found]:
    """All conversations, with the judgements that lie beside them."""
    names = [n for n in material.names if _CONVERSATIONS.fullmatch(base_name(n))]
    names = names or [
        n for n in material.names if not _COMPANIONS.fullmatch(base_name(n))
    ]
    votes: _Votes = defaultdict(list)
    for name in material.names:
        if base_name(name) == "message_feedback.json" and name not in names:
            for record in material.records(name):
                if isinstance(record, Rejected):
                    yield material.told(record, name)
                elif isinstance(record.value, dict):
                    votes[_key(record.value.get("conversation_id"))].append(
                        record.value
                    )
    yield from each_record(material, names, lambda record: parse(record, votes))
    for left in votes.values():
        yield LeftOut("feedback_without_its_turn", len(left))
    comparisons = [n for n in material.names if base_name(n) == FILE]
    yield from each_record(
        material, comparisons, lambda record: parse_comparison(record, _said, NAME)
    )


def _key(conversation_id: Json) -> str:
    # The judgements leave the dashes out, at times.
    return str(conversation_id).replace("-", "").lower()


def parse(record: Json, votes: _Votes | None = None) -> ImportedSession:
    """The session of one conversation; `votes` are taken out as they are used.

    Raises:
        InvalidInputError: It has no nodes; names the field.
    """
    given = need_object("record", record)
    nodes = need_object("mapping", given.get("mapping"))
    named = id_or_none(given, "conversation_id", "id")
    talk = Talk(NAME, named or derived_id(NAME, given), _TOLD)
    talk.title = given.get("title")
    talk.created_at = talk.time("created_at", given.get("create_time"))
    talk.head = talk.text("head", given.get("current_node"))
    talk.metadata = {
        key: value
        for key, value in given.items()
        if key not in ("mapping", "title", "conversation_id", "id")
        and value is not None
    }
    calls = {key: call for key, node in nodes.items() if (call := _call_of(key, node))}
    for node_id, node in nodes.items():
        _add(talk, node_id, node, nodes, calls)
    for place, vote in enumerate((votes or {}).pop(_key(named), ())):
        _vote(talk, vote, place)
    return talk.session()


def _add(
    talk: Talk,
    node_id: str,
    node: Json,
    nodes: Mapping[str, Json],
    calls: Mapping[str, JsonObject],
) -> None:
    if not isinstance(node, dict):
        talk.drop("node_without_fields")
        return
    parent = text_or_none(node.get("parent"))
    message = node.get("message")
    said = _said(talk, node_id, message) if isinstance(message, dict) else None
    if said is None:
        talk.name_rest("node", node, *(_LINKS if isinstance(message, dict) else _NODE))
        talk.pass_through(node_id, parent)
        return
    rest = rest_of(node, *_LINKS)
    if rest:
        said.metadata["node"] = rest
    said.parent = parent
    if node_id in calls:
        said.parts.append(calls[node_id])
        said.content = None
    if said.role == "tool":
        said.tool_call_id = _answered(node_id, nodes, calls)
    talk.say(said)


def _said(talk: Talk, node_id: str, message: JsonObject) -> Said | None:
    """The turn of a message; None for a system message that says nothing."""
    author = _object(message.get("author"))
    role, _ = role_of("message.author.role", author.get("role"))
    meta = _object(message.get("metadata"))
    content = _object(message.get("content"))
    kind = content.get("content_type")
    said = Said(
        node_id,
        role,
        at=time_or_none(message.get("create_time")),
        name=text_or_none(author.get("name")),
        model=text_or_none(meta.get("model_slug")),
        finish_reason=talk.text(
            "feedback.reason", _object(meta.get("finish_details")).get("type")
        ),
    )
    _fill(talk, said, kind, content, meta)
    told = meta.get("is_user_system_message")
    if role == "system" and not (said.content or said.parts or told):
        talk.drop("system_message_without_text")
        return None
    said.metadata = _kept(message, meta, kind, content)
    talk.source([said], message)
    return said


def _kept(
    message: JsonObject, meta: JsonObject, kind: Json, content: JsonObject
) -> JsonObject:
    """What of a message has no place in a turn, and what windows look for."""
    kept: JsonObject = {}
    if meta.get("is_visually_hidden_from_conversation") or message.get("weight") == 0:
        kept["hidden"] = True
    if message.get("status") not in (None, "finished_successfully"):
        kept["status"] = message["status"]
    if kind == "system_error":
        kept["error"] = True
    for key in ("channel", "end_turn", "recipient"):
        if message.get(key) not in (None, "all"):
            kept[key] = message[key]
    source = {key: value for key, value in meta.items() if key != "model_slug"}
    if source:
        kept["source"] = source
    if kind not in ("text", "multimodal_text", "code"):
        kept["content"] = content
    return kept


def _fill(
    talk: Talk, said: Said, kind: Json, content: JsonObject, meta: JsonObject
) -> None:
    if kind == "user_editable_context" or meta.get("is_user_system_message"):
        said.role = "system"
        told = _object(meta.get("user_context_message_data"))
        said.content = _joined(
            content.get("user_profile") or told.get("about_user_message"),
            content.get("user_instructions") or told.get("about_model_message"),
        )
    elif kind in ("thoughts", "reasoning_recap"):
        thought = _thought(content)
        if thought:
            said.parts.append(thought_part(thought, source_type=kind))
    elif isinstance(content.get("parts"), list):
        _fill_parts(talk, said, content["parts"])
    else:
        keys = ("text", "result", "summary", "title", "url", "name", "content")
        said.content = next(
            (t for k in keys if (t := text_or_none(content.get(k)))), ""
        )
    _attach(talk, said, meta.get("attachments"))


def _attach(talk: Talk, said: Said, attachments: Json) -> None:
    """The files that a message lists, besides those that its parts point to."""
    pointed = {
        str(part.get("pointer")).rpartition("://")[2].partition("#")[0]
        for part in said.parts
        if isinstance(part, dict)
    }
    for item in attachments if isinstance(attachments, list) else ():
        named = text_or_none(_object(item).get("id"))
        if named is None or named in pointed:
            continue
        media_type = item.get("mime_type") or item.get("mimeType")
        part = pointer_part(
            str(media_type),
            named,
            name=item.get("name"),
            media_type=media_type,
            size_bytes=item.get("size"),
            source=item,
        )
        talk.attach(said, part, with_bytes=False)


def _fill_parts(talk: Talk, said: Said, given: list[Json]) -> None:
    """Text, pictures and sound in their order; texts alone need no parts."""
    texts: list[str] = []
    for part in given:
        if isinstance(part, str):
            texts.append(part)
            said.parts.append(text_part(part))
        elif isinstance(part, dict):
            heard = text_or_none(part.get("text"))
            if heard is not None:
                texts.append(heard)
            if part.get("content_type") == "audio_transcription":
                sound: JsonObject = {
                    "type": "audio",
                    "transcript": heard,
                    "source": part,
                }
                talk.attach(said, sound, with_bytes=True)
            else:
                talk.attach(said, _pointer(part), with_bytes=False)
    if all(kind_of(part) == "text" for part in said.parts):
        said.parts = []
    said.content = "".join(texts)


def _pointer(part: JsonObject) -> JsonObject:
    kind = str(part.get("content_type"))
    inner = _object(part.get("audio_asset_pointer"))
    pointer = text_or_none(part.get("asset_pointer") or inner.get("asset_pointer"))
    return pointer_part(
        "audio" if "audio" in kind else kind,
        pointer,
        size_bytes=part.get("size_bytes") or inner.get("size_bytes"),
        source=part,
    )


def _thought(content: JsonObject) -> str:
    thoughts = content.get("thoughts")
    texts = [
        _joined(item.get("summary"), item.get("content"))
        for item in (thoughts if isinstance(thoughts, list) else ())
        if isinstance(item, dict)
    ]
    parts = content.get("parts")
    texts += [part for part in (parts if isinstance(parts, list) else ()) if part]
    texts.append(text_or_none(content.get("content")) or "")
    return _joined(*texts)


def _joined(*texts: Json) -> str:
    return "\n".join(text for text in texts if isinstance(text, str) and text)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _call_of(node_id: str, node: Json) -> JsonObject | None:
    """The call that a message is: it is addressed to a tool, and has no id but its
    own."""
    message = _object(_object(node).get("message"))
    recipient = text_or_none(message.get("recipient"))
    author = _object(message.get("author")).get("role")
    if recipient in (None, "all") or author != "assistant":
        return None
    content = _object(message.get("content"))
    parts = content.get("parts")
    text = text_or_none(content.get("text")) or "".join(
        part for part in (parts if isinstance(parts, list) else ()) if type(part) is str
    )
    assert recipient is not None
    return call_part(node_id, recipient, text)


def _answered(
    node_id: str, nodes: Mapping[str, Json], calls: Mapping[str, JsonObject]
) -> str | None:
    """The call that a result answers: the nearest one above it."""
    at: Json = node_id
    for _ in range(_MOST_UP):
        at = _object(nodes.get(at)).get("parent") if isinstance(at, str) else None
        if not isinstance(at, str) or at in calls:
            break
        author = _object(_object(nodes.get(at)).get("message")).get("author")
        if _object(author).get("role") == "user":
            return None
    return at if isinstance(at, str) and at in calls else None


def _vote(talk: Talk, given: JsonObject, place: int) -> None:
    message_id = text_or_none(given.get("message_id"))
    rating = given.get("rating")
    if message_id is None or not isinstance(rating, str):
        talk.drop("feedback_without_its_turn")
        return
    told = given.get("content")
    try:
        told = json.loads(told) if isinstance(told, str) else told
    except (ValueError, RecursionError):
        told = {"text": told}
    told = told if isinstance(told, dict) else {"text": told}
    text = text_or_none(told.get("text"))
    talk.vote(
        Vote(
            text_or_none(given.get("id")) or f"{message_id}:{digest_of(rating)[:8]}",
            message_id,
            label=_RATINGS.get(rating, rating),
            rater=talk.text("feedback.rater", given.get("user_id")),
            content=text,
            at=time_or_none(given.get("create_time")),
            metadata=rest_of(given, *_VOTE)
            | {k: v for k, v in told.items() if k != "text" or text is None},
        )
    )
