"""Read-only dicts and lists, so that one record can be shared by many readers.

They compare, iterate and encode as the plain ones; changing one raises TypeError, and
a copy of one is plain. Without this, a caller that changes `turn.metadata` in place
would change what every later reader gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from msgspec.structs import astuple

from convstore.vocabulary.record import Record

R = TypeVar("R", bound=Record)


def _refuse(self: object, *_: object, **__: object) -> NoReturn:
    raise TypeError("a cached record is shared and read-only: change a copy of it")


class FrozenDict(dict[str, Any]):
    """A dict that refuses to change."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return {key: thawed(value) for key, value in self.items()}

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return dict, (self.__deepcopy__(None),)


class FrozenList(list[Any]):
    """A list that refuses to change."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = _refuse
    pop = remove = reverse = sort = _refuse

    def __copy__(self) -> list[Any]:
        return list(self)

    def __deepcopy__(self, memo: object) -> list[Any]:
        return [thawed(value) for value in self]

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return list, (self.__deepcopy__(None),)


_EMPTY = FrozenDict()


def frozen_value(value: Any) -> Any:
    """JSON as read-only JSON."""
    kind = type(value)
    if kind is dict:
        if not value:
            return _EMPTY
        return FrozenDict((key, frozen_value(item)) for key, item in value.items())
    if kind is list:
        return FrozenList(frozen_value(item) for item in value)
    return value


def thawed(value: Any) -> Any:
    """A plain copy of read-only JSON."""
    if isinstance(value, dict):
        return {key: thawed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [thawed(item) for item in value]
    return value


def frozen(record: R) -> R:
    """The record with its JSON read-only; the record given stays as it is."""
    values = astuple(record)
    return type(record)(*[frozen_value(value) for value in values])
