"""What every record is: a frozen value of few microseconds, with its ways to travel.

A record is a `msgspec.Struct`: made by position or by name, compared and hashed by its
fields, pickled, copied, changed by `copy.replace` (Python 3.13) or
`dataclasses.replace`, which give a new one. The functions of `dataclasses` take records
as they take dataclasses.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, make_dataclass
from dataclasses import field as dataclass_field
from functools import cache
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import NODEFAULT, Struct, field
from msgspec.structs import fields as struct_fields

from convstore.vocabulary.codec import bytes_to_json, dumps

__all__ = ["Record", "Value", "field", "names_of"]


@cache
def _twin(cls: type[Struct]) -> Any:
    """A dataclass with the fields of a record, for those who ask what these are."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        hints |= get_annotations(base)
    described = []
    for known in struct_fields(cls):
        given: dict[str, Any] = {}
        if known.default_factory is not NODEFAULT:
            given["default_factory"] = known.default_factory
        elif known.default is not NODEFAULT:
            given["default"] = known.default
        made: Any = dataclass_field(**given)
        described.append((known.name, hints[known.name], made))
    # Without a repr of its own: `pprint` would bring what the record's leaves out.
    return make_dataclass(cls.__name__, described, repr=False)


@dataclass(frozen=True, slots=True)
class _OfTwin:
    """An attribute that a record's class has from its twin, made when it is asked for:
    most programs never do."""

    name: str

    def __get__(self, record: object, cls: type[Struct]) -> Any:
        return getattr(_twin(cls), self.name)


class Value(Struct, frozen=True):
    """What is used as a frozen dataclass with slots is, by the functions of
    `dataclasses` too. Making such a class takes a fortieth of the time: a command
    would spend a sixth of its start on two hundred of them."""

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    else:
        __dataclass_fields__ = _OfTwin("__dataclass_fields__")
        __dataclass_params__ = _OfTwin("__dataclass_params__")


class Record(Value, frozen=True, forbid_unknown_fields=True, gc=False):
    """A frozen value that compares by its fields.

    The collector of garbage does not look at it: nothing holds a record that the record
    holds, and thousands of them live for a moment.

    Setting a field raises AttributeError. What its dicts and lists hold is not copied.
    """

    def to_dict(self) -> dict[str, object]:
        """The fields in order, records within as dicts too; all dicts and lists are
        copies. Times, bytes and tuples stay what they are."""
        return {name: _plain(getattr(self, name)) for name in self.__struct_fields__}

    def to_json(self) -> str:
        """`to_dict` as compact JSON: times as ISO 8601 in UTC, bytes as their text, or
        as `{"base64": …}` where they are none.

        Raises:
            TypeError: A field holds what JSON cannot.
        """
        return dumps(_written(self.to_dict())).decode()


def names_of(record: type[Struct] | Struct) -> tuple[str, ...]:
    """The names of a record's fields, in order."""
    return record.__struct_fields__


def repr_without(record: Struct, *hidden: str) -> str:
    """How a record shows itself without some fields, which may hold what was said or
    what is secret."""
    shown = (
        f"{name}={getattr(record, name)!r}"
        for name in record.__struct_fields__
        if name not in hidden
    )
    return f"{type(record).__name__}({', '.join(shown)})"


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if type(value) is tuple:
        return tuple(_plain(item) for item in value)
    return value


def _written(value: Any) -> Any:
    if isinstance(value, bytes):
        return bytes_to_json(value)
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_written(item) for item in value]
    return value
