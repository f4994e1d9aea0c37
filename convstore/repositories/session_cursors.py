"""Cursors of lists of sessions: a place, and which way a page lies from it."""

from __future__ import annotations

from convstore.db.session_filters import bucket_of
from convstore.db.session_lists import Place
from convstore.repositories.cursors import decode_cursor, encode_cursor
from convstore.vocabulary.errors import InvalidInputError

_BACK = "back "
"""Begins what is said of a place from which a cursor leads back."""


def cursor_of(place: Place | None) -> str | None:
    """The cursor of a page that begins there; None where there is none."""
    if place is None:
        return None
    if place.at is not None and place.session_id is not None:
        if place.back:
            return encode_cursor(f"{_BACK}at", place.at, place.session_id)
        return encode_cursor(place.at, place.session_id)
    begun = "in" if place.session_id else "before"
    way = _BACK if place.back else ""
    return encode_cursor(way + begun, place.bucket, place.session_id or begun)


def place_of(cursor: str) -> Place:
    """Where a page ended: behind a session, or in a bucket or before it."""
    try:
        at, session_id = decode_cursor(cursor, int, str)
    except InvalidInputError:
        begun, number, session_id = decode_cursor(cursor, str, int, str)
        back, begun = begun.startswith(_BACK), begun.removeprefix(_BACK)
        if begun == "at":
            return Place(bucket_of(number), number, session_id, back)
        return Place(number, None, session_id if begun == "in" else None, back)
    return Place(bucket_of(at), at, session_id)
