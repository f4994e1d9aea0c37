"""From what callers give to rows as they are stored; refuses what cannot be."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from convstore.db.codec.records import StoredRow, attachment_row
from convstore.db.codec.row_types import GRAPH_STATES, TURNS
from convstore.messages.attached import taken_apart
from convstore.vocabulary.clock import EPOCH, to_micros
from convstore.vocabulary.codec import (
    check_int,
    check_text,
    decode_json,
    dumps,
    encode_json,
    encode_payload,
)
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import check_id, check_optional_id
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.record import names_of
from convstore.vocabulary.records import Json, TurnInput

MAX_TITLE_BYTES = 4096
_LAST_MICROS = to_micros(datetime.max.replace(tzinfo=UTC))
_INPUT_FIELDS = frozenset(names_of(TurnInput))


def turn_input(where: str, given: TurnInput | Mapping[str, Any]) -> TurnInput:
    """A mapping as a `TurnInput`; an unknown key is refused, not dropped."""
    if isinstance(given, TurnInput):
        return given
    if not isinstance(given, Mapping):
        raise InvalidInputError(where, f"must be a turn, not {type(given).__name__}")
    for name in given:
        if name not in _INPUT_FIELDS:
            # A name; anything else may be what somebody said.
            named = isinstance(name, str) and name.isidentifier() and len(name) <= 64
            place = f"{where}.{name}" if named else where
            raise InvalidInputError(place, "is not a field of a turn")
    if "role" not in given:
        raise InvalidInputError(f"{where}.role", "is missing")
    return TurnInput(**given)


def encode_turn(
    limits: Limits, turn: TurnInput, now: int
) -> tuple[StoredRow, str | None, int]:
    """The row of a turn without its place, the text of its tool definitions, and the
    characters of both with the bytes of the payload, which a batch is bounded by.

    Raises:
        InvalidInputError: Names the field.
    """
    row, size = _ABSENT.copy(), 0
    # A loop over what was given, not twenty calls: most turns leave most fields out.
    for (field, encode), value in zip(_TURN_FIELDS.items(), _given(turn), strict=True):
        if value is not None:
            row[field] = encoded = encode(limits, field, value)
            if type(encoded) in _SIZED:
                size += len(encoded)
    if row["role"] is None:
        check_id("role", turn.role)  # refuses
    if (row["payload"] is None) != (row["payload_format"] is None):
        raise InvalidInputError("payload_format", "goes together with payload")
    tools = row.pop("tools")
    if tools is not None:
        row["tools_hash"] = hashlib.sha256(tools.encode()).hexdigest()
    if row["created_at"] is None:
        row["created_at"] = now
    if 4 * size > limits.max_turn_bytes:  # a character has at most four bytes
        _check_size(limits, row)
    row["digest"] = TURNS.digest(row)
    return row, tools, size


def graph_state_row(
    limits: Limits,
    now: int,
    *,
    namespace: str,
    state: Json,
    turn_seq: int | None,
    metadata: Mapping[str, Json] | None,
    external_id: str | None,
    created_at: datetime | None,
) -> StoredRow:
    """The row of a graph state without its place.

    Raises:
        InvalidInputError: Names the field.
    """
    row: StoredRow = {
        "namespace": check_id("namespace", namespace),
        "state": encode_json(
            "state", state, limits.max_graph_state_bytes, limits.max_json_depth
        ),
        "turn_seq": None if turn_seq is None else check_int("turn_seq", turn_seq),
        "metadata": encode_object(limits, "metadata", metadata),
        "external_id": check_optional_id("external_id", external_id),
        "created_at": now
        if created_at is None
        else encode_time("created_at", created_at),
    }
    row["digest"] = GRAPH_STATES.digest(row)
    return row


def encode_turns(
    limits: Limits, turns: Iterable[TurnInput | Mapping[str, Any]], now: int
) -> tuple[list[StoredRow], dict[str, str], int]:
    """The rows of turns, their sets of tools by hash, and the characters of all.

    Raises:
        InvalidInputError: `turns[3].content`: which turn and field; or too many turns.
    """
    encoded: list[StoredRow] = []
    kept: dict[str, str] = {}
    total = 0
    for number, given in enumerate(turns):
        if number >= limits.max_turns_per_call:
            raise InvalidInputError(
                "turns", f"at most {limits.max_turns_per_call} fit one call"
            )
        where = f"turns[{number}]"
        turn = turn_input(where, given)
        try:
            row, tools_text, size = encode_turn(limits, turn, now)
        except InvalidInputError as error:
            raise InvalidInputError(f"{where}.{error.field}", error.problem) from None
        if tools_text is not None:
            kept[row["tools_hash"]] = tools_text
        encoded.append(row)
        total += size
    return encoded, kept, total


def take_apart(
    limits: Limits, tenant: str, encoded: Sequence[StoredRow], now: int
) -> list[StoredRow]:
    """Take pictures and files of more than `max_inline_bytes` out of the parts of
    encoded turns, which name them from then on; the rows of these attachments."""
    kept: dict[str, StoredRow] = {}
    for row in encoded:
        parts = row["parts"]
        if parts is None or len(parts) <= limits.max_inline_bytes:
            continue
        left, taken = taken_apart(decode_json(parts), limits.max_inline_bytes)
        if taken:
            row["parts"] = dumps(left).decode()
            row["digest"] = TURNS.digest(row)
            kept |= {one.hash: attachment_row(tenant, one, now) for one in taken}
    return list(kept.values())


def begin_at(encoded: Sequence[StoredRow], parent_seq: int | None) -> None:
    """Let the first of some turns follow `parent_seq`, where that is given.

    Raises:
        InvalidInputError: It has another parent already.
    """
    if parent_seq is None:
        return
    check_int("parent_seq", parent_seq)
    if not encoded:
        return
    if encoded[0]["parent_seq"] not in (None, parent_seq):
        raise InvalidInputError("parent_seq", "the first turn has another one")
    encoded[0]["parent_seq"] = parent_seq


def _check_size(limits: Limits, row: StoredRow) -> None:
    size = sum(len(value.encode()) for value in row.values() if type(value) is str)
    size += len(row["payload"] or b"")
    if size > limits.max_turn_bytes:
        raise InvalidInputError(
            "turn", f"has {size} bytes; at most {limits.max_turn_bytes} fit"
        )


def row_size(row: StoredRow) -> int:
    """Characters of a row's text: what a batch is bounded by."""
    size = 0
    for value in row.values():  # half the time of sum() over a generator
        if type(value) is str:
            size += len(value)
    return size


def encode_object(limits: Limits, field: str, value: Mapping[str, Json] | None) -> str:
    """A JSON object within the limit of metadata; None is an empty one."""
    if not value and (value is None or type(value) is dict):
        return "{}"
    if not isinstance(value, dict):
        raise InvalidInputError(field, f"must be a dict, not {type(value).__name__}")
    return encode_json(field, value, limits.max_metadata_bytes, limits.max_json_depth)


def encode_slots(limits: Limits, slots: Mapping[str, str] | None) -> str | None:
    """Slot names and values, both text."""
    if slots is None:
        return None
    if not isinstance(slots, Mapping):
        raise InvalidInputError(
            "slots", f"must be an object, not {type(slots).__name__}"
        )
    for name, value in slots.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidInputError("slots", "names and values must be text")
    return encode_object(limits, "slots", dict(slots))


def encode_title(title: object) -> str | None:
    """A title; None lets the next user turn give it."""
    return None if title is None else check_text("title", title, MAX_TITLE_BYTES)


def encode_tags(limits: Limits, tags: object) -> str:
    """A list of ids, in order, without repeats."""
    if isinstance(tags, str) or not hasattr(tags, "__iter__"):
        raise InvalidInputError("tags", "must be a list of text")
    checked = list(dict.fromkeys(check_id("tags", tag) for tag in tags))
    if len(checked) > limits.max_tags:
        raise InvalidInputError(
            "tags", f"has {len(checked)} entries; at most {limits.max_tags} fit"
        )
    return dumps(checked).decode()


def encode_time(field: str, at: datetime) -> int:
    """Microseconds of an aware time from 1970 to 9999, in UTC."""
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise InvalidInputError(field, "must be a datetime with a time zone")
    if at < EPOCH:
        raise InvalidInputError(field, "is before 1970")
    micros = to_micros(at)
    if micros > _LAST_MICROS:  # west of Greenwich the year 9999 goes on for hours
        raise InvalidInputError(field, "is after 9999")
    return micros


def _id(_: Limits, field: str, value: object) -> str:
    return check_id(field, value)


def _int(_: Limits, field: str, value: object) -> int:
    return check_int(field, value)


def _time(_: Limits, field: str, value: datetime) -> int:
    return encode_time(field, value)


def _text(limits: Limits, field: str, value: object) -> str:
    return check_text(field, value, limits.max_turn_bytes)


def _list(limits: Limits, field: str, value: Json) -> str:
    if not isinstance(value, list):
        raise InvalidInputError(field, "must be a list")
    return encode_json(field, value, limits.max_turn_bytes, limits.max_json_depth)


def _slots(limits: Limits, _: str, value: Mapping[str, str]) -> str | None:
    return encode_slots(limits, value)


def _payload(_: Limits, field: str, value: bytes | Json) -> bytes:
    return encode_payload(field, value)


_TURN_FIELDS: dict[str, Callable[[Limits, str, Any], Any]] = {
    "role": _id,
    "content": _text,
    "parts": _list,
    "name": _id,
    "tool_call_id": _id,
    "model": _id,
    "finish_reason": _id,
    "tokens_in": _int,
    "tokens_out": _int,
    "cost_micros": _int,
    "language": _id,
    "resolved_question": _text,
    "template_id": _id,
    "slots": _slots,
    "results": _list,
    "tools": _list,
    "metadata": encode_object,
    "external_id": _id,
    "parent_seq": _int,
    "created_at": _time,
    "payload": _payload,
    "payload_format": _id,
}
_SIZED = (str, bytes)
_ABSENT: StoredRow = dict.fromkeys([*_TURN_FIELDS, "tools_hash"]) | {"metadata": "{}"}
_given = attrgetter(*_TURN_FIELDS)
