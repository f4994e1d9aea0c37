"""Messages of LangChain that are nothing but text, made without its checks. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

M = TypeVar("M")


def maker_of(kind: type[M]) -> Callable[[str, str | None], M]:
    """Makes messages, of one of LangChain's classes, that are nothing but text: of a
    text and an id.

    They are copies of one that the class has made, as `copy` makes them: what was
    checked when it was stored is not checked again, which takes several times as long.
    """
    made_by: Any = kind
    return _maker_of(made_by)


@cache
def _maker_of(kind: Any) -> Callable[[str, str | None], Any]:
    first = kind(content="", id=None)
    new, put = kind.__new__, object.__setattr__
    given, named = first.__dict__, first.__pydantic_fields_set__
    empty = [(name, type(each)) for name, each in given.items() if each in ({}, [])]

    def make(text: str, message_id: str | None) -> Any:
        fields = given.copy()
        fields["content"], fields["id"] = text, message_id
        for name, container in empty:
            fields[name] = container()
        made = new(kind)
        put(made, "__dict__", fields)
        put(made, "__pydantic_extra__", {})
        put(made, "__pydantic_fields_set__", named.copy())
        put(made, "__pydantic_private__", None)
        return made

    return make
