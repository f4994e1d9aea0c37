"""Cursors: where a page ended, as text that callers pass back unread."""

from __future__ import annotations

import base64
import binascii

from convstore.vocabulary.codec import INT64_MAX, decode_json, dumps
from convstore.vocabulary.errors import CorruptionError, InvalidInputError
from convstore.vocabulary.ids import check_id
from convstore.vocabulary.limits import Limits
from convstore.vocabulary.records import Json


def encode_cursor(*parts: Json) -> str:
    """Text for `parts`, safe in a URL."""
    return base64.urlsafe_b64encode(dumps(parts)).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type) -> list[Json]:
    """The parts of a cursor, each of its kind.

    Raises:
        InvalidInputError: Not one of our cursors for this list.
    """
    problem = InvalidInputError("cursor", "is not a cursor of this list")
    if not isinstance(cursor, str) or len(cursor) > 4096:
        raise problem
    try:
        parts = decode_json(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, CorruptionError, ValueError):
        raise problem from None
    if not isinstance(parts, list) or len(parts) != len(types):
        raise problem
    for part, kind in zip(parts, types, strict=True):
        if type(part) is not kind or (type(part) is int and not 0 <= part <= INT64_MAX):
            raise problem
        if kind is str:
            check_id("cursor", part)
    return parts


def check_limit(limits: Limits, limit: int) -> int:
    """A page size that may be asked for."""
    if type(limit) is not int or not 1 <= limit <= limits.max_page:
        raise InvalidInputError("limit", f"must be from 1 to {limits.max_page}")
    return limit
