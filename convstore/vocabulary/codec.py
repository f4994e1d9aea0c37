"""Text and JSON at the border: what passes here is held exactly by every database.

The profile: text is valid Unicode without NUL; JSON has no NaN or infinity, integers
of 64 bits with sign, text keys and bounded depth. Anything else is refused with the
field's name, because the databases differ in what they would do with it. Stored JSON
keeps its key order and is compact UTF-8. The only module that imports orjson.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, TypeAlias

import orjson
from msgspec import Struct
from msgspec.structs import asdict

from convstore.vocabulary.errors import CorruptionError, InvalidInputError

Json: TypeAlias = Any
"""Any JSON value: null, bool, 64-bit int, finite float, text, list or object."""

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)


def check_text(field: str, value: object, max_bytes: int) -> str:
    """`value` if it is text of at most `max_bytes` UTF-8 bytes that can be stored.

    Raises:
        InvalidInputError: Not text, too long, or holding NUL or a lone surrogate.
    """
    if not isinstance(value, str):
        raise InvalidInputError(field, f"must be text, not {type(value).__name__}")
    check_unicode(field, value)
    size = len(value) if value.isascii() else len(value.encode())
    if size > max_bytes:
        raise InvalidInputError(field, f"has {size} bytes; at most {max_bytes} fit")
    return value


def check_int(field: str, value: object) -> int:
    """`value` if it is an integer from 0 that fits 64 bits."""
    if type(value) is not int:
        raise InvalidInputError(
            field, f"must be an integer, not {type(value).__name__}"
        )
    if not 0 <= value <= INT64_MAX:
        raise InvalidInputError(field, "must be between 0 and 2**63 - 1")
    return value


def check_optional_int(field: str, value: object) -> int | None:
    """As `check_int`, but None may pass."""
    return None if value is None else check_int(field, value)


def encode_json(field: str, value: Json, max_bytes: int, max_depth: int) -> str:
    """The JSON text of `value` as it will be stored.

    Raises:
        InvalidInputError: The value is outside the profile above; names the field, and
            the path inside it, never the content.
    """
    _check_json(field, value, max_depth)
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise InvalidInputError(field, "cannot be written as JSON") from error
    if len(text) > max_bytes:
        raise InvalidInputError(
            field, f"has {len(text)} bytes; at most {max_bytes} fit"
        )
    return text.decode()


def decode_json(text: str | bytes) -> Json:
    """The value of stored or received JSON text.

    Raises:
        CorruptionError: It is not JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # The decoder's message can quote the text: it must not travel.
        raise CorruptionError("bytes are not valid JSON") from None


def dumps(value: object, *, indent: bool = False) -> bytes:
    """Compact JSON of a value known to be good; records and times included."""
    option = orjson.OPT_INDENT_2 if indent else 0
    return orjson.dumps(value, default=_fields, option=option)


def dumps_rows(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Compact JSON of rows that a database is given; bytes as PostgreSQL writes them,
    in hexadecimal."""
    return orjson.dumps(rows, default=_hexadecimal)


def _hexadecimal(value: object) -> str:
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError


def _fields(value: object) -> dict[str, Any]:
    """What stands for a record: its fields, in order."""
    if isinstance(value, Struct):
        return asdict(value)
    raise TypeError


def canonical(value: Json) -> bytes:
    """JSON for hashing: one form for equal values, keys sorted, any text allowed.

    Unlike what is stored, it may hold text that no database takes: a hash of a
    request must not fail because of what the request says.
    """
    return json.dumps(
        value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=repr
    ).encode()


def digest(*columns: object) -> bytes:
    """SHA-256 over columns as stored, unforgeably separated."""
    return hashlib.sha256(orjson.dumps(columns, default=_digested)).digest()


def _digested(value: object) -> list[str] | dict[str, Any]:
    """What stands for bytes among the columns: no column is a list by itself."""
    if isinstance(value, bytes | memoryview):
        return [hashlib.sha256(value).hexdigest()]
    return _fields(value)


def encode_payload(field: str, value: bytes | Json) -> bytes:
    """Bytes as they are, or the JSON text of anything else.

    Wider than the profile above, because no database looks into it: integers of any
    length, NaN, NUL and lone surrogates pass, the last two as escapes.

    Raises:
        InvalidInputError: It is neither bytes nor JSON, or nested too deeply for text.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    try:
        _check_keys(field, value)
        text = _payload_text(value, ensure_ascii=False)
        try:
            return text.encode()
        except UnicodeEncodeError:  # a lone surrogate, which ASCII spells out
            return _payload_text(value, ensure_ascii=True).encode()
    except (TypeError, ValueError):
        raise InvalidInputError(field, "is neither bytes nor JSON") from None
    except RecursionError:
        raise InvalidInputError(field, "is nested too deeply") from None


def _payload_text(value: Json, *, ensure_ascii: bool) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, separators=(",", ":"))


def _check_keys(field: str, value: Json) -> None:
    """Refuse keys that are not text: the encoder would make text of some."""
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise InvalidInputError(field, "has a key that is not text")
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for item in value:
        _check_keys(field, item)


def bytes_to_json(value: bytes) -> Json:
    """Bytes as they stand in JSON: as text where they are UTF-8 without NUL, else as
    `{"base64": …}`."""
    if b"\0" not in value:
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass
    return {"base64": b64encode(value).decode()}


def bytes_from_json(value: Json) -> bytes:
    """The bytes that `bytes_to_json` wrote.

    Raises:
        ValueError, TypeError: It wrote no such thing.
    """
    if type(value) is str:
        return value.encode()
    if type(value) is not dict or value.keys() != {"base64"}:
        raise TypeError("neither text nor Base64")
    return b64decode(value["base64"], validate=True)


def _check_json(path: str, value: Json, depth: int) -> None:
    kind = type(value)
    if kind is str:
        check_unicode(path, value)
    elif value is None or kind is bool:
        return
    elif kind is int or kind is float:
        _check_number(path, value)
    elif kind is dict:
        _check_depth(path, depth)
        for key in value:
            if type(key) is not str:
                raise InvalidInputError(path, "has a key that is not text")
            check_unicode(path, key)
        _check_items(path, value.values(), depth)
    elif kind is list or kind is tuple:
        _check_depth(path, depth)
        _check_items(path, value, depth)
    else:
        raise InvalidInputError(path, f"holds a {kind.__name__}, which is not JSON")


def _check_number(path: str, value: int | float) -> None:
    if type(value) is int and not INT64_MIN <= value <= INT64_MAX:
        raise InvalidInputError(path, "holds an integer beyond 64 bits")
    if not isfinite(value):
        raise InvalidInputError(path, "holds NaN or an infinity")


def _check_items(path: str, values: Iterable[Json], depth: int) -> None:
    for value in values:
        _check_json(path, value, depth - 1)


def check_unicode(path: str, value: str) -> None:
    """Refuse what one of the databases cannot hold: NUL and lone surrogates."""
    if "\0" in value:
        raise InvalidInputError(path, "contains NUL")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidInputError(path, "contains a lone surrogate") from None


def _check_depth(path: str, depth: int) -> None:
    if depth <= 0:
        raise InvalidInputError(path, "is nested too deeply")
