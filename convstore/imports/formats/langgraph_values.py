"""Values as LangGraph's savers keep them: plain data, and nothing is made of it."""

from __future__ import annotations

import base64
from typing import Any

from convstore.imports.material import Material
from convstore.imports.msgpack import Extension, unpack
from convstore.vocabulary.errors import InvalidInputError
from convstore.vocabulary.records import Json

_ARRAYS = 3
"""Parts of an extension: module, name, and what it is made of."""
_FROM_FIELDS = frozenset({2, 4, 5})
"""Codes of extensions whose third part are the fields of an object."""
_SNAPSHOT = 7
"""Code of what holds the whole value of a channel that else keeps what was added."""


def value_of(material: Material, kind: Any, data: Any, field: str) -> Json:
    """The value in a column, by what the column beside it says that it is.

    Raises:
        InvalidInputError: It is pickled or encrypted; names the field.
        CorruptionError: It is not what it is said to be.
    """
    if kind == "msgpack" and isinstance(data, bytes):
        return as_json(unpack(data))
    if kind in ("json", None) and isinstance(data, str | bytes):
        return material.decoded(data, field=field)
    if kind in ("null", "empty"):
        return None
    raise InvalidInputError(
        f"{field}.type", "is pickled or encrypted, which is not read"
    )


def as_json(value: Any) -> Json:
    """Unpacked data as JSON: an object by its fields, with its class's name where it
    is a message; bytes in base64."""
    if isinstance(value, Extension):
        return _of_extension(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, float) and value != value:
        return None
    return value


def _of_extension(value: Extension) -> Json:
    parts = value.value
    if not isinstance(parts, list) or len(parts) < _ARRAYS or value.code == _SNAPSHOT:
        return as_json(parts)
    fields = as_json(parts[2])
    if value.code in _FROM_FIELDS and isinstance(fields, dict):
        return fields if "type" in fields else {**fields, "type": as_json(parts[1])}
    return fields
