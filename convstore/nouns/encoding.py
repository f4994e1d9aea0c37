"""From what callers give to rows as they are stored; refuses what cannot be."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from convstore.clock import EPOCH, to_micros
from convstore.codec import check_int, check_text, dumps, encode_json
from convstore.db.rows import turn_digest
from convstore.db.unit import Row
from convstore.errors import InvalidInputError
from convstore.ids import check_id, check_optional_id
from convstore.limits import Limits
from convstore.records import Json, TurnInput

_LAST_MICROS = to_micros(datetime.max.replace(tzinfo=UTC))
_INPUT_FIELDS = frozenset(f.name for f in fields(TurnInput))


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


def encode_turn(limits: Limits, turn: TurnInput, now: int) -> tuple[Row, str | None]:
    """The row of a turn without its place, and the text of its tool definitions.

    Raises:
        InvalidInputError: Names the field.
    """
    size = limits.max_turn_bytes
    tools = _json(limits, "tools", turn.tools, list, size)
    row: Row = {
        "parent_seq": turn.parent_seq
        if turn.parent_seq is None
        else check_int("parent_seq", turn.parent_seq),
        "role": check_id("role", turn.role),
        "content": None
        if turn.content is None
        else check_text("content", turn.content, size),
        "parts": _json(limits, "parts", turn.parts, list, size),
        "name": check_optional_id("name", turn.name),
        "tool_call_id": check_optional_id("tool_call_id", turn.tool_call_id),
        "model": check_optional_id("model", turn.model),
        "finish_reason": check_optional_id("finish_reason", turn.finish_reason),
        "tokens_in": _count("tokens_in", turn.tokens_in),
        "tokens_out": _count("tokens_out", turn.tokens_out),
        "cost_micros": _count("cost_micros", turn.cost_micros),
        "language": check_optional_id("language", turn.language),
        "resolved_question": None
        if turn.resolved_question is None
        else check_text("resolved_question", turn.resolved_question, size),
        "template_id": check_optional_id("template_id", turn.template_id),
        "slots": encode_slots(limits, turn.slots),
        "results": _json(limits, "results", turn.results, list, size),
        "tools_hash": tools and hashlib.sha256(tools.encode()).hexdigest(),
        "metadata": encode_object(limits, "metadata", turn.metadata),
        "external_id": check_optional_id("external_id", turn.external_id),
        "created_at": now
        if turn.created_at is None
        else encode_time("created_at", turn.created_at),
    }
    total = row_size(row)
    if 4 * total > size:  # a character has at most four bytes: most need no look
        total = sum(len(v.encode()) for v in row.values() if type(v) is str)
    if total > size:
        raise InvalidInputError("turn", f"has {total} bytes; at most {size} fit")
    row["digest"] = turn_digest(row)
    return row, tools


def row_size(row: Row) -> int:
    """Characters of a row's text: what a batch is bounded by."""
    size = 0
    for value in row.values():  # half the time of sum() over a generator
        if type(value) is str:
            size += len(value)
    return size


def encode_object(limits: Limits, field: str, value: Mapping[str, Json] | None) -> str:
    """A JSON object within the limit of metadata; None is an empty one."""
    if value is None:
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


def _json(
    limits: Limits, field: str, value: Json, kind: type, max_bytes: int
) -> str | None:
    if value is None:
        return None
    if not isinstance(value, kind):
        raise InvalidInputError(field, f"must be a {kind.__name__}")
    return encode_json(field, value, max_bytes, limits.max_json_depth)


def _count(field: str, value: int | None) -> int | None:
    return None if value is None else check_int(field, value)
