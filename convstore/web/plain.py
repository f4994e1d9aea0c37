"""Records as plain JSON values, for those who ask for JSON."""

from __future__ import annotations

import base64
from datetime import datetime
from pathlib import Path

from convstore.vocabulary.records import Json


def plain(value: object) -> Json:
    """A record, or values that hold some, as what JSON can hold."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    names = _field_names(value)
    return {name: plain(getattr(value, name)) for name in names}


def _field_names(value: object) -> list[str]:
    kind = type(value)
    names = getattr(kind, "__struct_fields__", None)
    if names is None:
        names = getattr(kind, "__dataclass_fields__", None)
    if names is None:
        raise TypeError(f"{kind.__name__} is not known to JSON")
    return list(names)
