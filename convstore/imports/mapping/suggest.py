"""A first mapping for a file of a shape that nobody knows: a guess, to be corrected.

It looks at the first records for what reads like messages: a list, an object or a nest
of objects that have a text and mostly an author, or rows with both. Names tell the
rest. Values of the file are in no guess, but for short words that name a role.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from convstore.imports.chat import role_of
from convstore.imports.grouping import Record
from convstore.imports.mapping.file import Mapping as MappingFile
from convstore.imports.mapping.file import read_mapping
from convstore.imports.mapping.paths import find
from convstore.imports.opening import open_source
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json, JsonObject

_LOOKED_AT, _MOST_PATHS, _MOST_DEPTH = 50, 2_000, 6
_TEXT = "content text message body utterance value mes answer response output prompt"
_FIELDS = {
    "id": "id uuid message_id messageId msg_id mid key",
    "parent": "parent parent_id parentId parent_uuid parentUuid parent_message_id "
    "parentMessageId reply_to reply_to_id in_reply_to",
    "role": "role sender author from speaker sender_type author_role type direction",
    "name": "name author_name username display_name nickname",
    "created_at": "created_at createdAt timestamp time create_time date sent_at ts "
    "created posted_at at",
    "model": "model model_name model_slug modelName engine",
    "finish_reason": "finish_reason stop_reason finishReason",
    "tokens_in": "tokens_in prompt_tokens input_tokens",
    "tokens_out": "tokens_out completion_tokens output_tokens",
    "children": "children replies responses",
    "tool_call_id": "tool_call_id",
}
_SESSION = {
    "id": "session_id conversation_id conversationId chat_id thread_id threadId "
    "sessionId uuid id",
    "user_id": "user_id userId user customer_id account_id owner",
    "title": "title name subject topic",
    "language": "language lang locale",
    "created_at": "created_at createdAt create_time timestamp date started_at",
    "tags": "tags labels",
}
_GROUPED_BY = (
    _SESSION["id"].replace(" uuid id", "")
    + " dialog_id dialogue_id conv_id ticket_id ticket case_id"
)
_VOTES = "rating score feedback vote label thumbs stars"
_ASKED = "prompt question instruction query input user"
_ANSWERED = "completion answer response output assistant reply chosen"
_ROLES = {
    "true": "user",
    "false": "assistant",
    "agent": "assistant",
    "customer": "user",
    "visitor": "user",
    "client": "user",
    "operator": "assistant",
    "inbound": "user",
    "outbound": "assistant",
}


def suggest(source: str | os.PathLike[str]) -> str:
    """A mapping file for a source, as TOML with comments on what to look at.

    Raises:
        InvalidInputError: Nothing in its first records reads like what people said.
    """
    records = _sample(source)
    if not records:
        raise InvalidInputError("source", "holds no record that is an object")
    tables = _of_messages(records) or _of_rows(records) or _of_pairs(records)
    if tables is None:
        raise InvalidInputError(
            "source", "nothing in its first records reads like messages"
        )
    checked: MappingFile = read_mapping(tables)
    return _toml(tables, _verdict(checked, records))


def _sample(source: str | os.PathLike[str]) -> list[JsonObject]:
    with open_source(source) as opened:
        for name in opened.names:
            some = islice(opened.records(name), _LOOKED_AT)
            found = [r.value for r in some if isinstance(r, Record)]
            objects = [value for value in found if isinstance(value, dict)]
            if objects:
                return objects
    return []


def _of_messages(records: Sequence[JsonObject]) -> dict[str, Any] | None:
    """Messages inside of each record."""
    best: tuple[int, str, list[JsonObject]] | None = None
    for path in _lists(records[0]):
        items = [
            item
            for record in records
            for item in _nodes(find(record, path))[:_LOOKED_AT]
        ]
        score = _score(items)
        if score and (best is None or score > best[0]):
            best = score, path, items
    if best is None:
        return None
    _, path, items = best
    messages: dict[str, Any] = {"path": path} | _message_fields(items)
    if isinstance(find(records[0], path), dict):
        messages.pop("children", None)
    if "parent" in messages:
        messages.pop("children", None)
        head = _named(records, "current_node current_message_id currentId head")
        messages |= {"head": head} if head else {}
    tables: dict[str, Any] = {"name": "suggested"}
    session = _session_fields(records, but=path)
    if session:
        tables["session"] = session
    tables["messages"] = messages
    votes = _votes(items)
    return tables | ({"judgements": votes} if votes else {})


def _of_rows(records: Sequence[JsonObject]) -> dict[str, Any] | None:
    """Records that are messages themselves, which some field groups."""
    by = _named(records, _GROUPED_BY)
    if by is None or not _score(records):
        return None
    messages = _message_fields(records)
    if "role" not in messages:
        return None
    messages.pop("children", None)
    group = {"by": by}
    if "created_at" in messages:
        group["order"] = messages["created_at"]
    session = _session_fields(records, but="")
    session.pop("created_at", None)
    tables = {
        "name": "suggested",
        "group": group,
        "session": {**session, "id": by},
        "messages": messages,
    }
    votes = _votes(records)
    return tables | ({"judgements": votes} if votes else {})


def _of_pairs(records: Sequence[JsonObject]) -> dict[str, Any] | None:
    """Records of a question and its answer."""
    asked, answered = _named(records, _ASKED), _named(records, _ANSWERED)
    if asked is None or answered is None or asked == answered:
        return None
    turns = [
        {"role": role, "text": path}
        for role, path in (
            ("system", _named(records, "system system_prompt")),
            ("user", asked),
            ("assistant", answered),
        )
        if path is not None
    ]
    session = _session_fields(records, but="")
    tables: dict[str, Any] = {"name": "suggested"}
    tables |= {"session": session} if session else {}
    return tables | {"turn": turns}


def _lists(record: JsonObject) -> Iterator[str]:
    """Where a record has lists, or objects, of objects; the outermost first."""
    waiting: list[tuple[Json, str, int]] = [(record, "", 0)]
    seen = 0
    while waiting and seen < _MOST_PATHS:
        value, path, depth = waiting.pop(0)
        seen += 1
        if path and _nodes(value):
            yield path
        if isinstance(value, dict) and depth < _MOST_DEPTH:
            for key, below in list(value.items())[:200]:
                if isinstance(below, dict | list) and "." not in key and key:
                    waiting.append((below, f"{path}.{key}" if path else key, depth + 1))


def _nodes(value: Json) -> list[JsonObject]:
    """The objects of a list, or of an object whose values all are objects."""
    if isinstance(value, dict):
        if len(value) < 2 or not all(isinstance(v, dict) for v in value.values()):
            return []
        value = list(value.values())
    if not isinstance(value, list):
        return []
    return [item for item in value if isinstance(item, dict)]


def _score(items: Sequence[JsonObject]) -> int:
    """How much some objects read like messages; 0 for not at all."""
    text = _text_path(items)
    if text is None:
        return 0
    role = _field(items, "role")
    return 1 + 4 * (role is not None) + (_field(items, "created_at") is not None)


def _text_path(items: Sequence[JsonObject]) -> str | None:
    """The path of the text: by its name, and that at least a third has some."""
    for name in _TEXT.split():
        for path in _spellings(items, name):
            said = [_is_said(find(item, path)) for item in items]
            if items and 3 * sum(said) >= len(said):
                return path
    return None


def _is_said(value: Json) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(v, str | dict) for v in value)
    return isinstance(value, str) and bool(value)


def _spellings(items: Sequence[JsonObject], name: str) -> list[str]:
    """A name as it is, and one or two levels down, where the items have it."""
    found: dict[str, None] = {}
    for item in items[:_LOOKED_AT]:
        for key in (key for key in item if key.lower() == name.lower()):
            found[key] = None
    for item in items[:_LOOKED_AT]:
        for key, below in item.items():
            if not isinstance(below, dict) or "." in key:
                continue
            for inner, value in below.items():
                if inner.lower() == name.lower() and "." not in inner:
                    found[f"{key}.{inner}"] = None
                elif isinstance(value, dict) and "." not in inner and name in value:
                    found[f"{key}.{inner}.{name}"] = None
    return [path for path in found if _usable(items, path)]


def _usable(items: Sequence[JsonObject], path: str) -> bool:
    values = [find(item, path) for item in items]
    return any(value not in (None, "", []) for value in values)


def _field(items: Sequence[JsonObject], name: str) -> str | None:
    """The path of a field of a message, by the names that it goes by."""
    for spelled in _FIELDS[name].split():
        for path in _spellings(items, spelled):
            values = [v for item in items if (v := find(item, path)) is not None]
            if name == "children":
                if any(_nodes(value) for value in values):
                    return path
            elif not all(isinstance(v, str | int | float) for v in values):
                continue
            elif name != "role" or _are_roles(values):
                return path
    return None


def _are_roles(values: Sequence[Json]) -> bool:
    """Few words, of which one at least is a known role."""
    words = {_word(value) for value in values}
    return len(words) <= 8 and any(_known_role(word) for word in words)


def _known_role(word: str) -> str | None:
    if word in _ROLES:
        return _ROLES[word]
    try:
        return role_of("role", word)[0]
    except InvalidInputError:
        return None


def _word(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _message_fields(items: Sequence[JsonObject]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in _FIELDS:
        path = _field(items, name)
        if path is not None and path not in fields.values():
            fields[name] = path
    fields["text"] = _text_path(items)
    if "role" in fields:
        words = {_word(v) for i in items if (v := find(i, fields["role"])) is not None}
        told = {word: _ROLES[word] for word in sorted(words) if word in _ROLES}
        unknown = {word for word in words if _known_role(word) is None}
        if unknown:
            told["*"] = "other"
        if told:
            fields["roles"] = told
    return fields


def _session_fields(records: Sequence[JsonObject], but: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, spelled in _SESSION.items():
        path = _named(records, spelled, lists=name == "tags")
        if path is not None and path != but and path not in fields.values():
            fields[name] = path
    return fields


def _named(
    records: Sequence[JsonObject], names: str, *, lists: bool = False
) -> str | None:
    """The first of some names under which most records have a plain value."""
    kinds = (list,) if lists else (str, int)
    for name in names.split():
        for key in {key for record in records for key in record}:
            if key.lower() == name.lower():
                has = [isinstance(record.get(key), kinds) for record in records]
                if 2 * sum(has) >= len(records):
                    return key
    return None


def _votes(items: Sequence[JsonObject]) -> list[dict[str, Any]]:
    for name in _VOTES.split():
        for path in _spellings(items, name):
            values = [v for i in items if (v := find(i, path)) is not None]
            number = all(_is_number(value) for value in values)
            if number or all(isinstance(v, str) for v in values):
                kind = "score" if number else "label"
                return [{"inside": "messages", kind: path}]
    return []


def _is_number(value: Json) -> bool:
    if isinstance(value, str):
        try:
            return math.isfinite(float(value))
        except ValueError:
            return False
    return isinstance(value, int | float)


def _verdict(mapping: MappingFile, records: Sequence[JsonObject]) -> str:
    if mapping.group is not None:
        return f"looked at {len(records)} rows"
    from convstore.imports.mapping.records import parse

    taken = 0
    for record in records:
        try:
            taken += bool(parse(mapping, record).turns)
        except InvalidInputError:
            continue
    return f"takes {taken} of the first {len(records)} records"


def _toml(tables: Mapping[str, Any], verdict: str) -> str:
    """The tables as TOML; strings are written as JSON's, which TOML reads alike."""
    lines = [
        f"# A guess by what the file looks like: it {verdict}.",
        "# Look at the roles and the text, try it with --dry-run, and correct it.",
    ]
    for name, value in tables.items():
        if isinstance(value, dict):
            lines += ["", f"[{name}]", *_keys(value)]
        elif isinstance(value, list):
            for item in value:
                lines += ["", f"[[{name}]]", *_keys(item)]
        else:
            lines += ["", f"{name} = {json.dumps(value)}"]
    return "\n".join(lines) + "\n"


def _keys(table: Mapping[str, Any]) -> list[str]:
    told = []
    for key, value in table.items():
        if isinstance(value, dict):
            pairs = (f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items())
            inner = ", ".join(pairs)
            told.append(f"{key} = {{ {inner} }}")
        else:
            told.append(f"{key} = {json.dumps(value)}")
    return told
