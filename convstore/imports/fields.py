"""Reading the fields of a record: the expected kind of value, or a refusal by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from convstore.messages.titles import cut_at
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.ids import MAX_ID_CHARS, check_id
from convstore.vocabulary.records import Json, JsonObject

_MAX_LANGUAGE_CHARS = 35
_MAX_TITLE_CHARS = 200
_MAX_TAGS = 64
_EPOCH = re.compile(r"[0-9]{9,17}([.][0-9]{1,9})?", re.ASCII)
_EPOCH_BEGINS = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST_S, _LATEST_S = 631_152_000, 4_102_444_800

TIME_KEYS = ("created_at", "timestamp", "create_time", "created", "created_date")
"""Under which names a record or message says when it began."""


def need_object(field: str, value: Json) -> JsonObject:
    """`value` if it is an object.

    Raises:
        InvalidInputError: It is something else; names the field.
    """
    if not isinstance(value, dict):
        raise InvalidInputError(field, f"must be an object, not {kind_of(value)}")
    return value


def need_list(field: str, value: Json) -> list[Json]:
    """`value` if it is a list with at least one item; errors as `need_object`."""
    if not isinstance(value, list):
        raise InvalidInputError(field, f"must be a list, not {kind_of(value)}")
    if not value:
        raise InvalidInputError(field, "is empty")
    return value


def need_text(field: str, value: Json) -> str:
    """`value` if it is text, empty or not; errors as `need_object`."""
    if not isinstance(value, str):
        raise InvalidInputError(field, f"must be text, not {kind_of(value)}")
    return value


def kind_of(value: Json) -> str:
    """The kind of a JSON value in the words of JSON."""
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean"}
    return "null" if value is None else names.get(type(value), "a number")


def text_or_none(value: Json) -> str | None:
    """`value` if it is text that is not empty."""
    return value if isinstance(value, str) and value else None


def number_or_none(value: Json) -> float | None:
    """`value` if it is a number; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)


def count_or_none(value: Json) -> int | None:
    """`value` if it is a whole number from 0 on; a boolean is none."""
    return value if type(value) is int and value >= 0 else None


def id_or_none(record: Mapping[str, Json], *keys: str) -> str | None:
    """The first of these fields that can be an id."""
    for key in keys:
        if key in record and text_or_none(record[key]):
            try:
                return check_id(key, record[key])
            except InvalidInputError:
                continue
    return None


def language_or_none(value: Json) -> str | None:
    """`value` if it can be a language tag."""
    text = text_or_none(value)
    return text if text and len(text) <= _MAX_LANGUAGE_CHARS else None


def title_or_none(value: Json) -> str | None:
    """`value` if it is a title, cut with an ellipsis when long."""
    text = text_or_none(value)
    if text is None or len(text) <= _MAX_TITLE_CHARS:
        return text
    return cut_at(text, _MAX_TITLE_CHARS - 1) + "…"


def tags_of(value: Json) -> tuple[str, ...]:
    """The tags in `value`: each once, in order; none when it is no list of tags."""
    if not isinstance(value, list) or len(value) > _MAX_TAGS:
        return ()
    if not all(isinstance(tag, str) and 1 <= len(tag) <= MAX_ID_CHARS for tag in value):
        return ()
    return tuple(dict.fromkeys(value))


def rest_of(source: Mapping[str, Json], *read: str) -> JsonObject:
    """What an object says besides the fields that are `read`; nothing, false, zero and
    empty say nothing."""
    return {key: value for key, value in source.items() if value and key not in read}


def first_time(record: Mapping[str, Json]) -> datetime | None:
    """The first of the fields that say when something was said or begun."""
    for key in TIME_KEYS:  # for each message, most of which say none
        if key in record and (at := time_or_none(record[key])) is not None:
            return at
    return None


def time_or_none(value: Json) -> datetime | None:
    """`value` if it is a time: in ISO 8601, where one without a zone is taken as UTC,
    or since 1970 in seconds, milliseconds or microseconds, told by its size. Numbers
    that would lie outside 1990 to 2100 are no times."""
    if isinstance(value, str) and _EPOCH.fullmatch(value):
        value = float(value) if "." in value else int(value)
    if not isinstance(value, str):
        return _since_1970(value)
    try:
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _since_1970(value: Json) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    for per_second in (1, 1_000, 1_000_000):
        if _EARLIEST_S <= value / per_second < _LATEST_S:
            # Whole numbers exactly: a float has not the digits of microseconds.
            micros = value * (1_000_000 // per_second)
            return _EPOCH_BEGINS + timedelta(microseconds=round(micros))
    return None
