"""Objects of frameworks, made as copies of one that the framework has made. Pure.

What a class checks was checked when it was stored; to check it again takes several
times as long as a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def mould(first: T) -> Callable[[Mapping[str, Any]], T]:
    """Makes objects like this one with some fields as given.

    What else the object holds is shared by all copies, and so has to be of values that
    nobody changes; but empty lists and dicts are made anew for each.

    Args:
        first: Of a plain class, or a model of Pydantic without private attributes.
    """
    kind: Any = type(first)
    given = first.__dict__
    empty = [
        (name, type(each))
        for name, each in given.items()
        if type(each) in (dict, list) and not each
    ]
    more = _of_pydantic(first) if hasattr(kind, "__pydantic_fields__") else {}
    new, put = kind.__new__, object.__setattr__
    kept = [(name, each) for name, each in more.items() if each is None]
    copied = [(name, each) for name, each in more.items() if each is not None]

    def copy(changed: Mapping[str, Any]) -> T:
        fields = given.copy()
        for name, container in empty:
            fields[name] = container()
        fields.update(changed)
        made: T = new(kind)
        put(made, "__dict__", fields)
        for name, each in kept:
            put(made, name, each)
        for name, each in copied:
            put(made, name, each.copy())
        return made

    return copy


def _of_pydantic(model: Any) -> dict[str, Any]:
    """What a model has beside its fields, as `copy` takes it along."""
    assert model.__pydantic_private__ is None
    names = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
    return {name: getattr(model, name) for name in names}
