"""What an adapter keeps as a turn's payload, told from what others keep there. Pure.

A payload has the name of a framework, and need not be its adapter's: an import keeps
under that name what its own file says, and an application whatever it likes. So what is
read is only what has the form that the adapter writes; of any other payload nothing is
read, and the turn's columns say what was said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeGuard

from msgspec.structs import replace

from convstore.messages.message import speaks
from convstore.messages.neutral import plain_id
from convstore.vocabulary.codec import dumps
from convstore.vocabulary.records import Json, JsonObject, Turn, TurnInput

MARK: Final = "convstore"
"""A key of payloads that are ours, in a form that a framework's object could have."""

# What an import puts for the bytes of a file, which it keeps elsewhere.
_REPLACED = re.compile(rb'"sha256:[0-9a-f]{64}"')


# Bytes of a turn with its payload: somewhat below what a turn may have by default.
_ROOM = 15 << 20
# What is beside a payload of so many bytes says the same, and fits.
_SMALL = 2 << 20
# Characters of one text beside a payload that leaves no more room.
_SHORTER = (1 << 20, 1 << 12)

NOTHING: Final = b"{}"
"""The payload of a turn of ours whose columns say all of a message."""
_NO_ID: Final = b'{"convstore":1,"id":null}'
_ID: Final = b'{"convstore":1,"id":"%s"}'


class Group(NamedTuple):
    """Turns that are read together, and the messages that they are."""

    turns: tuple[Turn, ...]
    messages: tuple[JsonObject, ...]


def json_of(turn: Turn, format_: str) -> Json:
    """The JSON of a payload of a format; None where there is none, or it is no JSON."""
    if turn.payload is None or turn.payload_format != format_:
        return None
    if turn.payload == NOTHING:
        return {}
    try:
        told: Json = json.loads(turn.payload)
    except (ValueError, RecursionError):
        return None
    return told


def is_cut(turn: Turn) -> bool:
    """Whether an import, which names its turns, put hashes in place of files."""
    payload = turn.payload
    named = turn.external_id is not None and payload is not None
    return named and _REPLACED.search(payload or b"") is not None


def with_payload(turn: TurnInput, payload: bytes, format_: str) -> TurnInput:
    """The turn with what is kept of it.

    Where both are more than a turn may have, the columns are cut: no message is refused
    because it is told twice. Of a long text its beginning stays, of the arguments of a
    call nothing, as half of them would be none.
    """
    kept = replace(turn, payload=payload, payload_format=format_)
    if len(payload) <= _SMALL:
        return kept
    for most in _SHORTER:
        if len(payload) + _bytes_of(kept) <= _ROOM:
            return kept
        text, parts = kept.content, _cut(kept.parts, most)
        text = None if text is None else text[: _SHORTER[0]]
        kept = replace(kept, content=text, parts=parts)
    whole = len(payload) + _bytes_of(kept)
    return kept if whole <= _ROOM else replace(kept, parts=None)


def _bytes_of(turn: TurnInput) -> int:
    return len((turn.content or "").encode()) + len(dumps(turn.parts or []))


def _cut(value: Any, most: int, key: str = "") -> Any:
    if isinstance(value, str):
        if len(value) <= most:
            return value
        return "" if key == "arguments" else value[:most]
    if isinstance(value, list):
        return [_cut(item, most) for item in value]
    if isinstance(value, dict):
        return {name: _cut(item, most, name) for name, item in value.items()}
    return value


def with_id(message_id: str | None) -> bytes:
    """The payload of a turn whose columns say all of a message but for its id."""
    # ASCII: any text that JSON can tell fits, lone surrogates too.
    return json.dumps({MARK: 1, "id": message_id}, separators=(",", ":")).encode()


def is_with_id(payload: bytes, message_id: str | None) -> bool:
    """Whether a payload is what `with_id` makes of an id. Of an id that JSON writes in
    another way it says no: then it has to be read."""
    if message_id is None:
        return payload == _NO_ID
    if '"' in message_id or "\\" in message_id:
        return False
    return payload == _ID % message_id.encode("utf-8", "surrogatepass")


def has_id(told: Json, before: Turn | None = None) -> TypeGuard[JsonObject]:
    """Whether a payload is one of `with_id`.

    Args:
        before: The turn that it is of, where an adapter wrote such payloads without a
            mark once: to the byte in that form, and of a turn that has the id for its
            external one. Anybody's object may hold an `id` and nothing else.
    """
    if not isinstance(told, dict) or told.keys() - {MARK} != {"id"}:
        return False
    message_id = told["id"]
    if message_id is not None and not isinstance(message_id, str):
        return False
    if MARK in told:
        return type(told[MARK]) is int and told[MARK] == 1
    if before is None or message_id is None:
        return False
    exact = before.payload == json.dumps({"id": message_id}).encode()
    return exact and before.external_id == plain_id(message_id)


def is_count(value: object) -> bool:
    """Whether a payload's word for how many turns there are, or which, can be one."""
    return type(value) is int and value > 0


def with_own(turn: TurnInput, message: JsonObject | None, format_: str) -> TurnInput:
    """The turn of a message with the message itself, or None where the columns say all
    of it. Then only an assistant's is marked, as neighbours of others are put together.
    """
    if message is None and turn.role != "assistant":
        return turn
    # ASCII: any text that JSON can tell fits, lone surrogates too.
    text = json.dumps(message or {}, separators=(",", ":"))
    return with_payload(turn, text.encode(), format_)


def own_of(
    turn: Turn, format_: str, is_message: Callable[[JsonObject], bool]
) -> JsonObject | None:
    """The message that was kept with a turn, an empty one where its columns say all of
    it; None where the payload is another's.

    Args:
        is_message: Whether an object has the form of a message.
    """
    whole = json_of(turn, format_)
    if not isinstance(whole, dict) or (whole and not is_message(whole)):
        return None
    return whole


def grouped_by_own(
    turns: Iterable[Turn],
    is_own: Callable[[Turn], bool],
    messages_of: Callable[[Sequence[Turn]], list[JsonObject]],
) -> list[Group]:
    """The messages of a path, oldest first, with the turns that each is."""
    groups: list[list[Turn]] = []
    open_ = False
    for turn in turns:
        foreign = speaks(turn) and not is_own(turn)
        if foreign and open_:
            groups[-1].append(turn)
        else:
            groups.append([turn])
        open_ = foreign
    return [Group(tuple(group), tuple(messages_of(group))) for group in groups]
