"""Keys of objects that hold half of a surrogate pair, taken through Pydantic. Pure.

In values Pydantic keeps those; in keys it puts U+FFFD in their place, or refuses the
object, and two keys may become one. Marked, such a key is the ASCII of its JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

_MARK: Final = "\ufffdjson:"


def marked(value: Any) -> Any:
    """A value with such keys marked, however deep they are."""
    return _renamed(value, _mark)


def unmarked(value: Any) -> Any:
    """The value that `marked` was given."""
    return _renamed(value, _unmark)


def _mark(key: Any) -> Any:
    if not isinstance(key, str):
        return key
    try:
        key.encode()
    except UnicodeEncodeError:
        return _MARK + json.dumps(key)
    return _MARK + json.dumps(key) if key.startswith(_MARK) else key


def _unmark(key: Any) -> Any:
    known = isinstance(key, str) and key.startswith(_MARK)
    return json.loads(key.removeprefix(_MARK)) if known else key


def _renamed(value: Any, name: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {name(key): _renamed(each, name) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(each, name) for each in value]
    return value
