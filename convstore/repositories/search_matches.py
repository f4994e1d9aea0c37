"""What a search has found before it is shown, and the places at which pages end."""

from __future__ import annotations

from dataclasses import dataclass

from convstore.db.search_contents import Said
from convstore.repositories.cursors import decode_cursor, encode_cursor
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.record import Value
from convstore.vocabulary.records import Session

# Cursors hold no negative numbers, and times before 1970 are such.
_SHIFT = 2**53
_NONE = "-"
Spot = tuple[int, str, str, int]
Below = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended.

    By the index: behind the entry of a `number`. By reading: behind a `spot` (time,
    session, kind, number) of the sessions `below` a time of activity and an id.
    """

    number: int | None = None
    spot: Spot | None = None
    below: Below | None = None

    def cursor(self) -> str:
        """As text for the caller."""
        if self.number is not None:
            return encode_cursor("index", str(self.number))
        at, session_id, kind, seq = self.spot or (0, _NONE, _NONE, 0)
        low, named = self.below or (0, _NONE)
        return encode_cursor(
            "read",
            "all" if self.spot is None else "behind",
            at + _SHIFT,
            session_id,
            kind,
            seq,
            "all" if self.below is None else "below",
            low + _SHIFT,
            named,
        )


def place_of(cursor: str) -> Place:
    """What a cursor says.

    Raises:
        InvalidInputError: It is no cursor of a search.
    """
    try:
        way, number = decode_cursor(cursor, str, str)
    except InvalidInputError:
        return _read_place(cursor)
    if way != "index" or not str(number).lstrip("-").isdecimal():
        raise InvalidInputError("cursor", "is not a cursor of this list")
    return Place(number=max(-(2**63), min(int(str(number)), 2**63 - 1)))


def _read_place(cursor: str) -> Place:
    types = (str, str, int, str, str, int, str, int, str)
    way, behind, at, session_id, kind, seq, below, low, named = decode_cursor(
        cursor, *types
    )
    if way != "read":
        raise InvalidInputError("cursor", "is not a cursor of this list")
    return Place(
        spot=None if behind == "all" else (at - _SHIFT, session_id, kind, seq),
        below=None if below == "all" else (low - _SHIFT, named),
    )


def ranked_cursor(offset: int, until: int) -> str:
    """A cursor behind so many of the best of what was said until then."""
    return encode_cursor("best", offset, until + _SHIFT)


def ranked_place(cursor: str) -> tuple[int, int]:
    """The offset and the time of `ranked_cursor`."""
    way, offset, until = decode_cursor(cursor, str, int, int)
    if way != "best":
        raise InvalidInputError("cursor", "is not a cursor of this list")
    return offset, until - _SHIFT


class Match(Value, frozen=True):
    """A text that matches, in its session, and where it stands among all.

    `said.text` is None where what is archived cannot be read.
    """

    session: Session
    said: Said
    turn_seq: int | None
    place: Place


class Looked(Value, frozen=True):
    """What was found, newest first; whether all that could come before its end was
    looked at; and where to go on if there is more than was looked at."""

    matches: list[Match]
    complete: bool
    next: Place | None = None
