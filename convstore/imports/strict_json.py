"""JSON from strangers: what the store could not keep exactly is refused at once.

Stricter than the standard: no repeated keys, no integers beyond 64 bits, no numbers
that only infinity can hold, bounded depth. The fast decoder of `codec` is too kind for
this: it keeps the last of two equal keys and reads large integers as floats.
"""

from __future__ import annotations

import json
import re
from math import isinf
from typing import NoReturn

from convstore.vocabulary.codec import INT64_MAX, INT64_MIN
from convstore.vocabulary.errors import InvalidInputError, LimitExceededError
from convstore.vocabulary.records import Json

_INT64_DIGITS = 20
_MARKS = (b",", b"[", b"{")
# Ends with the text where the closing quote is missing, and never looks back: else a
# text of escaped quotes takes quadratic time.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)


def parse_json(
    data: bytes,
    max_depth: int,
    *,
    max_pieces: int | None = None,
    field: str = "record",
) -> Json:
    """The value of one JSON text in UTF-8.

    Args:
        data: The bytes; whitespace around the value may be there, anything else not.
        max_depth: Levels of lists and objects allowed.
        max_pieces: Strings, commas and opening brackets allowed, those inside strings
            not counted; told before any value is made.
        field: The name in errors.

    Raises:
        InvalidInputError: Not UTF-8, not JSON, or outside the profile above. The
            problem names the place by byte or character number, never by content.
        LimitExceededError: More pieces than allowed.
    """
    if max_pieces is not None:
        _check_pieces(data, max_pieces)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            field, f"is not UTF-8 from byte {error.start + 1} on"
        ) from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise InvalidInputError(
            field, f"is not JSON from character {error.pos + 1} on"
        ) from None
    except _OutsideProfileError as error:
        raise InvalidInputError(field, str(error)) from None
    except RecursionError:
        raise InvalidInputError(field, "is nested too deeply") from None
    if text.count("[") + text.count("{") > max_depth:
        # Counting brackets is cheap and clears nearly every record.
        _check_depth(value, max_depth, field)
    return value


def _check_pieces(data: bytes, allowed: int) -> None:
    # With what is inside strings first: that is quick, and clears nearly every record.
    if sum(map(data.count, (*_MARKS, b'"'))) <= allowed:
        return
    pieces = at = 0
    for string in _STRING.finditer(data):
        between = at, string.start()
        pieces += 1 + sum(data.count(mark, *between) for mark in _MARKS)
        at = string.end()
        if pieces > allowed:
            break
    else:
        pieces += sum(data.count(mark, at) for mark in _MARKS)
    if pieces > allowed:
        raise LimitExceededError("max_pieces", allowed, pieces)


class _OutsideProfileError(ValueError):
    """Raised inside the decoder's hooks; never leaves this module."""


def _integer(digits: str) -> int:
    # Length first: Python takes quadratic time for a number of many digits.
    if len(digits) <= _INT64_DIGITS:
        number = int(digits)
        if INT64_MIN <= number <= INT64_MAX:
            return number
    raise _OutsideProfileError("holds an integer beyond 64 bits")


def _float(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise _OutsideProfileError("holds a number beyond the range of floats")
    return number


def _constant(_: str) -> NoReturn:
    raise _OutsideProfileError("holds NaN or an infinity")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _OutsideProfileError("has an object with a repeated key")
    return value


def _check_depth(value: Json, max_depth: int, field: str) -> None:
    level = [value]
    for _ in range(max_depth):
        deeper: list[Json] = []
        for item in level:
            if type(item) is dict:
                deeper.extend(item.values())
            elif type(item) is list:
                deeper.extend(item)
        level = [item for item in deeper if type(item) in (dict, list)]
        if not level:
            return
    raise InvalidInputError(field, "is nested too deeply")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_float,
    parse_constant=_constant,
)
