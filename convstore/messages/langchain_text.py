"""Messages of LangChain that are nothing but text, made without its checks. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from convstore.messages.copies import mould

M = TypeVar("M")


def maker_of(kind: type[M]) -> Callable[[str, str | None], M]:
    """Makes messages, of one of LangChain's classes, that are nothing but text: of a
    text and an id.

    They are copies of one that the class has made: see `mould`.
    """
    made_by: Any = kind
    return _maker_of(made_by)


@cache
def _maker_of(kind: Any) -> Callable[[str, str | None], Any]:
    copy = mould(kind(content="", id=None))
    return lambda text, message_id: copy({"content": text, "id": message_id})
